//! Builds the container of a server.

use std::net::Ipv4Addr;
use std::time::Duration;

use flow::{Lease, Next};
use infra::{Actor, ContainerSpec, ContainerView, is_unusable};
use kernel::{Error, OwnerKey, Result};
use network::api::{NewPort, Port, Status};

use super::model::{KIND, Nic, ServerRow, container};
use super::plan::{Assessment, assess};
use super::pulls::Pull;
use super::table;
use super::worker::{RETRY, RunError, Servers, from_service};
use crate::ledger;

/// Resync interval while waiting for an event that marks the server.
const MARKED: Duration = Duration::from_secs(30);

impl Servers {
    /// One run of a build: performs all steps that are ready, up to ACTIVE.
    pub(super) async fn build(&self, lease: &Lease, s: &ServerRow) -> Result<Next, RunError> {
        self.confirm_engine().await?;
        if s.host.is_none() && !self.find_host(lease, s).await? {
            return Ok(Next::Done);
        }
        if s.launched_at.is_some() {
            self.remove_earlier_builds(lease, s).await?;
        }
        let mut ports = Vec::with_capacity(s.networks.0.len());
        for nic in &s.networks.0 {
            ports.push(self.port(lease, s, nic).await?);
        }
        if let Some(port) = ports.iter().find(|p| p.status != Status::Active) {
            return self.wait_for_network(lease, s, port).await;
        }
        let compute = &self.compute;
        let seed = s
            .user_data
            .as_deref()
            .map(|sealed| compute.sealer.open(sealed))
            .transpose()?;
        let spec = container(s, &ports, seed, &compute.config);
        let Some(id) = self.create(lease, s, &spec).await? else {
            return self.wait_for_image(lease, s).await;
        };
        let view = match self.start(lease, &id).await {
            Err(RunError::External(e)) if is_unusable(&e) => {
                return Ok(self.start_replacement_build(lease, s, &e).await?);
            }
            other => other?,
        };
        match assess(&view, None) {
            Assessment::Is(_) => Ok(self.finish_launch(lease, s, &ports).await?),
            Assessment::Failed(why) => Ok(self.handle_startup_exit(lease, s, &view, &why).await?),
        }
    }

    /// Removes objects of earlier builds from the host; ports and placement are
    /// kept.
    async fn remove_earlier_builds(&self, lease: &Lease, s: &ServerRow) -> Result<(), RunError> {
        let compute = &self.compute;
        let volumes = ledger::table::volumes_before(&compute.db, &s.id, s.build).await?;
        self.remove_container_and_volumes(lease, s, &volumes, |labels| !s.is_of_build(labels))
            .await?;
        db::fenced!(compute.db, lease, |tx| {
            ledger::table::drop_volumes_before(tx, &s.id, s.build).await?;
            table::set_cleared(tx, &s.id).await
        })?;
        Ok(())
    }

    /// Abandons the container of this build. The next build gets a new
    /// container and new volumes.
    async fn start_replacement_build(
        &self,
        lease: &Lease,
        s: &ServerRow,
        e: &Error,
    ) -> Result<Next> {
        tracing::warn!(server = s.id.as_str(), error = %e, "the container is replaced by another one");
        let text = format!("{}; another container is created", e.message);
        db::fenced!(self.compute.db, lease, |tx| {
            table::set_replacement_build(tx, &s.id, &text).await?;
            self.compute.record_next(tx, s).await?;
            self.mark_owner(tx, s).await
        })?;
        Ok(Next::After(RETRY))
    }

    /// Places a server that was created before any host had registered.
    async fn find_host(&self, lease: &Lease, s: &ServerRow) -> Result<bool, RunError> {
        let compute = &self.compute;
        let turn = compute.placing.acquire().await.map_err(Error::internal)?;
        let placed = db::fenced!(compute.db, lease, |tx| compute.place(tx, s).await)?;
        drop(turn);
        Ok(placed)
    }

    /// Returns `None` if the image has to be pulled first.
    async fn create(
        &self,
        lease: &Lease,
        s: &ServerRow,
        spec: &ContainerSpec,
    ) -> Result<Option<String>, RunError> {
        let (compute, actor) = (&self.compute, Actor::Lease(lease.epoch));
        let e = match compute.host.create(actor, spec).await {
            Ok(id) => return Ok(Some(id)),
            Err(e) => e,
        };
        let host = &compute.host;
        let absent = spec.foreign.pull
            && e.is_not_found()
            && !host
                .has_image(&spec.image)
                .await
                .map_err(RunError::External)?;
        if !absent {
            return Err(self.of_engine(e));
        }
        match compute
            .pulls
            .begin(&compute.db, host, &spec.image, &s.id)
            .await
        {
            Ok(Pull::Running) => Ok(None),
            Ok(Pull::Ended) => {
                let made = host.create(actor, spec).await;
                made.map(Some).map_err(|e| self.of_engine(e))
            }
            Err(e) => Err(RunError::External(e)),
        }
    }

    /// Starts a container and inspects it.
    async fn start(&self, lease: &Lease, id: &str) -> Result<ContainerView, RunError> {
        let host = &self.compute.host;
        let started = host.start(Actor::Lease(lease.epoch), id).await;
        match started {
            Err(e) if !e.is_not_found() => return Err(self.of_engine(e)),
            _ => {}
        }
        let view = host.inspect(id).await.map_err(RunError::External)?;
        match (view, started) {
            (Some(view), Ok(())) => Ok(view),
            // Another object that the start needs is missing.
            (Some(_), Err(e)) => Err(RunError::External(e)),
            // The container is created again in the next attempt.
            (None, _) => Err(RunError::External(Error::unavailable(format!(
                "container {id} was removed while it was being started"
            )))),
        }
    }

    async fn port(&self, lease: &Lease, s: &ServerRow, nic: &Nic) -> Result<Port, RunError> {
        let (ctx, ports) = (Self::ctx(lease, s), &self.compute.network.ports);
        let owner = OwnerKey::new(KIND, &s.id);
        let port = match &nic.network_id {
            None => ports.bind(&ctx, &nic.port_id, &s.id, owner).await,
            Some(network) => {
                let new = NewPort {
                    id: nic.port_id.clone(),
                    project_id: s.project_id.clone(),
                    network_id: network.clone(),
                    name: s.name.clone(),
                    device_id: Some(s.id.to_string()),
                    owner: Some(owner),
                    ..NewPort::default()
                };
                ports.create(&ctx, new).await
            }
        };
        port.map_err(from_service)
    }

    /// The reconciler of the network marks the server.
    async fn wait_for_network(
        &self,
        lease: &Lease,
        s: &ServerRow,
        port: &Port,
    ) -> Result<Next, RunError> {
        let net = self
            .compute
            .network
            .networks
            .show(&Self::ctx(lease, s), &port.network_id)
            .await
            .map_err(from_service)?;
        let reason = net
            .status_reason
            .map(|r| format!(": {r}"))
            .unwrap_or_default();
        if matches!(net.status, Status::Error | Status::Deleting) {
            return Err(RunError::External(Error::conflict(format!(
                "network {} is {:?}{reason}",
                net.name, net.status
            ))));
        }
        let text = format!("waits for network {}{reason}", net.name);
        self.report(lease, s, &text, None).await?;
        Ok(Next::After(RETRY))
    }

    /// The end of the pull marks the server.
    async fn wait_for_image(&self, lease: &Lease, s: &ServerRow) -> Result<Next, RunError> {
        let text = format!(
            "host {} pulls image {}",
            s.host.as_deref().unwrap_or("?"),
            s.reference
        );
        self.report(lease, s, &text, None).await?;
        Ok(Next::After(MARKED))
    }

    async fn finish_launch(&self, lease: &Lease, s: &ServerRow, ports: &[Port]) -> Result<Next> {
        let addresses: Vec<Ipv4Addr> = ports.iter().map(|p| p.ip).collect();
        db::fenced!(self.compute.db, lease, |tx| {
            if table::set_active(tx, &s.id, &addresses).await? {
                self.mark_owner(tx, s).await?;
            }
            Ok(())
        })?;
        Ok(Next::Done)
    }

    /// The container exited during startup: disable its restart, keep it for
    /// inspection, and report the end of its log.
    pub(super) async fn handle_startup_exit(
        &self,
        lease: &Lease,
        s: &ServerRow,
        view: &ContainerView,
        why: &str,
    ) -> Result<Next> {
        let host = &self.compute.host;
        if let Err(e) = host.stop(Actor::Lease(lease.epoch), &view.id, 0).await {
            tracing::debug!(server = s.id.as_str(), error = %e, "a dead container was not stopped");
        }
        let log = host.logs(&view.id, 5).await.unwrap_or_default();
        let last = match log.trim() {
            "" => "it wrote nothing".to_owned(),
            text => format!("its last lines: {}", text.replace('\n', " | ")),
        };
        let on = s.host.as_deref().unwrap_or("its host");
        let text = format!(
            "server {}: container {} on host {on} {why}; {last}",
            s.name, view.name
        );
        self.fail(lease, s, &text).await
    }
}
