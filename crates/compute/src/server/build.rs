//! From a row to a running container.

use flow::{Lease, Next};
use kernel::{Error, OwnerKey, Result};
use network::face::{NewPort, Port, Status};

use super::model::{Nic, Srv, container};
use super::plan::{Verdict, judge};
use super::reconcile::{KIND, RETRY, Servers, Trouble, of_face};
use super::table;

impl Servers {
    /// One run of a build: everything that is ready, up to ACTIVE.
    pub(super) async fn build(&self, lease: &Lease, s: &Srv) -> Result<Next, Trouble> {
        if s.host.is_none() && !self.find_host(lease, s).await? {
            return Ok(Next::Done);
        }
        if s.launched_at.is_some() {
            self.clear(lease, s).await?;
        }
        let mut ports = Vec::with_capacity(s.nics.len());
        for nic in &s.nics {
            ports.push(self.port(s, nic).await?);
        }
        if let Some(port) = ports.iter().find(|p| p.status != Status::Active) {
            return self.wait_for(lease, s, port).await;
        }
        let compute = &self.compute;
        let seed = s
            .user_data
            .as_deref()
            .map(|sealed| compute.sealer.open(sealed))
            .transpose()?;
        let spec = container(s, &ports, seed, &compute.config);
        compute.host.create(&spec).await.map_err(Trouble::World)?;
        compute
            .host
            .start(&spec.name)
            .await
            .map_err(Trouble::World)?;
        let view = compute
            .host
            .inspect(&spec.name)
            .await
            .map_err(Trouble::World)?
            .ok_or_else(|| {
                Trouble::World(Error::conflict(format!(
                    "container {} was removed while it was being started",
                    spec.name
                )))
            })?;
        match judge(&view, None) {
            Verdict::Is(_) => Ok(self.launched(lease, s, &ports).await?),
            Verdict::Failed(why) => Ok(self.died(lease, s, &why).await?),
        }
    }

    /// Takes what a rebuilt server has left on its host away; its ports and
    /// its place stay.
    async fn clear(&self, lease: &Lease, s: &Srv) -> Result<(), Trouble> {
        let host = &self.compute.host;
        let done = host.remove(&s.container(), &s.volumes()).await;
        done.map_err(Trouble::World)?;
        let mut tx = self.fenced(lease).await?;
        table::set_cleared(&mut tx, &s.id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Places a server that was made before any host had answered.
    async fn find_host(&self, lease: &Lease, s: &Srv) -> Result<bool, Trouble> {
        self.compute.refresh_host().await.map_err(Trouble::World)?;
        let mut tx = self.fenced(lease).await?;
        let placed = self.compute.place(&mut tx, s).await?;
        tx.commit().await?;
        Ok(placed)
    }

    async fn port(&self, s: &Srv, nic: &Nic) -> Result<Port, Trouble> {
        let (ctx, ports) = (Self::ctx(s), &self.compute.network.ports);
        let owner = OwnerKey::new(KIND, &s.id);
        let port = match &nic.network_id {
            None => ports.bind(&ctx, &nic.port_id, &s.id, owner).await,
            Some(network) => {
                let new = NewPort {
                    id: nic.port_id.clone(),
                    project_id: s.project_id.clone(),
                    network_id: network.clone(),
                    name: s.name.clone(),
                    device_id: Some(s.id.clone()),
                    owner: Some(owner),
                    ..NewPort::default()
                };
                ports.create(&ctx, new).await
            }
        };
        port.map_err(of_face)
    }

    /// The network's reconciler marks us; the retry is for a lost mark only.
    async fn wait_for(&self, lease: &Lease, s: &Srv, port: &Port) -> Result<Next, Trouble> {
        let net = self
            .compute
            .network
            .networks
            .show(&Self::ctx(s), &port.network_id)
            .await
            .map_err(of_face)?;
        let reason = net
            .status_reason
            .map(|r| format!(": {r}"))
            .unwrap_or_default();
        if matches!(net.status, Status::Error | Status::Deleting) {
            return Err(Trouble::World(Error::conflict(format!(
                "network {} is {:?}{reason}",
                net.name, net.status
            ))));
        }
        let text = format!("waits for network {}{reason}", net.name);
        self.say(lease, s, &text, None).await?;
        Ok(Next::After(RETRY))
    }

    async fn launched(&self, lease: &Lease, s: &Srv, ports: &[Port]) -> Result<Next> {
        let addresses: Vec<String> = ports.iter().map(|p| p.ip.clone()).collect();
        let mut tx = match self.fenced(lease).await {
            Ok(tx) => tx,
            Err(e) => {
                self.undo_if_gone(s).await;
                return Err(e);
            }
        };
        if table::set_active(&mut tx, &s.id, &addresses).await? {
            self.mark_owner(&mut tx, s).await?;
        }
        tx.commit().await?;
        Ok(Next::Done)
    }

    /// We lost the lease: where the one who has it removed the server, our
    /// container came after its removal and would stay for ever.
    async fn undo_if_gone(&self, s: &Srv) {
        if matches!(table::get(&self.compute.db, &s.id).await, Ok(None)) {
            let done = self.compute.host.remove(&s.container(), &s.volumes()).await;
            if let Err(e) = done {
                tracing::error!(server = s.id, error = %e, "a late container stays: see `jeroboam leaks`");
            }
        }
    }

    /// The container died while starting: stop it from being started again,
    /// keep it for reading, and tell its last words.
    pub(super) async fn died(&self, lease: &Lease, s: &Srv, why: &str) -> Result<Next> {
        let (host, name) = (&self.compute.host, s.container());
        if let Err(e) = host.stop(&name, 0).await {
            tracing::debug!(server = s.id, error = %e, "a dead container was not stopped");
        }
        let log = host.logs(&name, 5).await.unwrap_or_default();
        let last = match log.trim() {
            "" => "it wrote nothing".to_owned(),
            text => format!("its last lines: {}", text.replace('\n', " | ")),
        };
        let on = s.host.as_deref().unwrap_or("its host");
        let text = format!(
            "server {}: container {name} on host {on} {why}; {last}",
            s.name
        );
        self.fail(lease, s, &text).await
    }
}
