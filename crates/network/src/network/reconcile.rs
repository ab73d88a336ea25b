//! Brings a network's bridge to what the rows say.

use std::net::Ipv4Addr;
use std::time::Duration;

use async_trait::async_trait;
use flow::{Lease, Next, Reconciler};
use kernel::{Error, Kind, OwnerKey, Result, clock};

use super::model::{Net, bridge, host_name, waits_for};
use super::table;
use crate::face::Status;
use crate::subnet::Sub;
use crate::{NetworkService, port, router, subnet};

/// The reconciler's kind.
pub(crate) const KIND: &str = "network";
/// An engine that does not answer for so long fails a build.
const PATIENCE: i64 = 60_000_000;
/// How soon an engine that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// Where no event tells that a container has left the bridge.
const DETACH: Duration = Duration::from_millis(200);

pub(crate) struct Bridges {
    service: NetworkService,
}

impl Bridges {
    pub(crate) fn new(service: NetworkService) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Reconciler for Bridges {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let db = &self.service.db;
        let Some(net) = table::get(db, &lease.id).await? else {
            return Ok(Next::Gone);
        };
        // At most one, by the unique index.
        let sub = subnet::table::of_network(db, &net.id).await?.pop();
        match sub {
            Some(sub) if net.status == Status::Deleting || sub.deleting => {
                self.unrealise(lease, &net, Some(&sub)).await
            }
            None if net.status == Status::Deleting => self.unrealise(lease, &net, None).await,
            Some(sub) if net.status == Status::Build => self.realise(lease, &net, &sub).await,
            _ => Ok(Next::Done),
        }
    }
}

impl Bridges {
    async fn realise(&self, lease: &Lease, net: &Net, sub: &Sub) -> Result<Next> {
        let installation = &self.service.config.installation;
        let spec = bridge(net, &sub.cidr, &sub.gateway_ip, installation);
        match self.service.plane.ensure(&spec).await {
            Ok(_) => {
                self.settle(lease, net, sub, Status::Active, None).await?;
                if let Ok(ip) = sub.gateway_ip.parse::<Ipv4Addr>() {
                    self.service.gateways.send_if_modified(|g| g.insert(ip));
                }
                Ok(Next::Done)
            }
            Err(e) if e.is_transient() && clock::now_micros() - net.changed_at < PATIENCE => {
                self.say(lease, net, &e.message).await?;
                Ok(Next::After(RETRY))
            }
            Err(e) => {
                self.settle(lease, net, sub, Status::Error, Some(&e.message))
                    .await?;
                Ok(Next::Done)
            }
        }
    }

    /// Writes the end of a build and wakes everybody who waits for it.
    async fn settle(
        &self,
        lease: &Lease,
        net: &Net,
        sub: &Sub,
        status: Status,
        reason: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.service.db.begin().await?;
        tx.fence(lease).await?;
        if table::set_status(&mut tx, &net.id, status, reason).await? {
            mark_all(&mut tx, [&net.owner, &sub.owner]).await?;
            for owner in port::table::owners(&mut tx, &net.id).await? {
                db::mark(&mut tx, &owner.kind, &owner.id).await?;
            }
        }
        tx.commit().await
    }

    async fn unrealise(&self, lease: &Lease, net: &Net, sub: Option<&Sub>) -> Result<Next> {
        let db = &self.service.db;
        let ports = port::table::names(db, &net.id).await?;
        if !ports.is_empty() {
            // The last port to go marks this key.
            self.say(lease, net, &waits_for(&ports)).await?;
            return Ok(Next::Done);
        }
        if let Some(sub) = sub {
            if let Ok(ip) = sub.gateway_ip.parse::<Ipv4Addr>() {
                // Before the bridge: who listens there stops first.
                self.service.gateways.send_if_modified(|g| g.remove(&ip));
            }
            match self.service.plane.remove(&host_name(&net.id)).await {
                Ok(()) => {}
                Err(e) => return self.wait_for_engine(lease, net, &e).await,
            }
        }
        let mut tx = db.begin().await?;
        tx.fence(lease).await?;
        let current = table::lock(&mut tx, &net.id).await?;
        if !port::table::names_in(&mut tx, &net.id).await?.is_empty() {
            return Ok(Next::Again);
        }
        if let Some(sub) = sub {
            router::table::drop_interfaces(&mut tx, &sub.id).await?;
            subnet::table::drop_row(&mut tx, &sub.id).await?;
        }
        let gone = current.status == Status::Deleting;
        if gone {
            table::drop_row(&mut tx, &net.id).await?;
        } else {
            // A network without a subnet is a row only.
            table::set_status(&mut tx, &net.id, Status::Active, None).await?;
        }
        mark_all(&mut tx, [&net.owner, &sub.and_then(|s| s.owner.clone())]).await?;
        tx.commit().await?;
        Ok(if gone { Next::Gone } else { Next::Done })
    }

    async fn wait_for_engine(&self, lease: &Lease, net: &Net, e: &Error) -> Result<Next> {
        self.say(lease, net, &e.message).await?;
        Ok(Next::After(if e.kind == Kind::Conflict {
            DETACH
        } else {
            RETRY
        }))
    }

    /// Tells what is waited for; the owner shows it.
    async fn say(&self, lease: &Lease, net: &Net, reason: &str) -> Result<()> {
        if net.status_reason.as_deref() == Some(reason) {
            return Ok(());
        }
        let mut tx = self.service.db.begin().await?;
        tx.fence(lease).await?;
        table::set_reason(&mut tx, &net.id, reason).await?;
        mark_all(&mut tx, [&net.owner]).await?;
        tx.commit().await
    }
}

async fn mark_all<const N: usize>(tx: &mut db::Tx, owners: [&Option<OwnerKey>; N]) -> Result<()> {
    for owner in owners.into_iter().flatten() {
        db::mark(tx, &owner.kind, &owner.id).await?;
    }
    Ok(())
}
