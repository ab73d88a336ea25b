//! Reconciles the bridge of a network with its rows.

use std::time::Duration;

use async_trait::async_trait;
use flow::{Lease, Next, Reconciler};
use infra::{Actor, LABEL, backoff, is_stale};
use kernel::{Error, OwnerKey, Result, clock, ids};

use super::model::{NetworkRow, bridge, host_name, waits_for};
use super::table;
use crate::api::Status;
use crate::subnet::SubnetRow;
use crate::{NetworkId, NetworkService, port, router, subnet};

/// Kind of the reconciler.
pub(crate) const KIND: &str = "network";
/// Minimum delay after the engine did not answer or could not remove a bridge.
const RETRY: Duration = Duration::from_millis(200);

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
        let Some(net) = table::get(db, &NetworkId::from(&lease.id)).await? else {
            return Ok(Next::Gone);
        };
        // At most one, because of the unique index.
        let sub = subnet::table::of_network(db, &net.id).await?.pop();
        match sub {
            Some(sub) if net.status == Status::Deleting || sub.deleting => {
                self.remove_realisation(lease, &net, Some(&sub)).await
            }
            None if net.status == Status::Deleting => {
                self.remove_realisation(lease, &net, None).await
            }
            Some(sub) if net.status == Status::Build => self.realise(lease, &net, &sub).await,
            _ => Ok(Next::Done),
        }
    }
}

impl Bridges {
    async fn realise(&self, lease: &Lease, net: &NetworkRow, sub: &SubnetRow) -> Result<Next> {
        let service = &self.service;
        let spec = bridge(
            net,
            (sub.cidr, sub.gateway_ip),
            &service.config.installation,
        );
        match service
            .fabric
            .ensure(Actor::Lease(lease.epoch), &spec)
            .await
        {
            Ok(_) => {
                // The gateway can be bound from now on. It is added before the network
                // becomes ACTIVE, because observers of ACTIVE may bind it.
                service
                    .gateways
                    .send_if_modified(|g| g.insert(sub.gateway_ip));
                self.finish_build(lease, net, sub, Status::Active, None)
                    .await?;
                Ok(Next::Done)
            }
            Err(e) if is_stale(&e) => Err(e),
            // Retry until the deadline of the owner.
            Err(e) if e.is_transient() => self.wait(lease, net, &e).await,
            Err(e) => {
                self.finish_build(lease, net, sub, Status::Error, Some(&e.message))
                    .await?;
                Ok(Next::Done)
            }
        }
    }

    /// Writes the end of a build and marks all owners that wait for it.
    async fn finish_build(
        &self,
        lease: &Lease,
        net: &NetworkRow,
        sub: &SubnetRow,
        status: Status,
        reason: Option<&str>,
    ) -> Result<()> {
        db::fenced!(self.service.db, lease, |tx| {
            if table::set_status(tx, &net.id, status, reason).await? {
                let mut owners = port::table::owners(tx, &net.id).await?;
                owners.extend(net.owner().into_iter().chain(sub.owner()));
                mark_all(tx, owners).await?;
            }
            Ok(())
        })
    }

    async fn remove_realisation(
        &self,
        lease: &Lease,
        net: &NetworkRow,
        sub: Option<&SubnetRow>,
    ) -> Result<Next> {
        let ports = port::table::names(&self.service.db, &net.id).await?;
        if !ports.is_empty() {
            // The removal of the last port marks this key.
            self.report(lease, net, &waits_for(&ports)).await?;
            return Ok(Next::Done);
        }
        if let Some(sub) = sub {
            // Notified before the bridge is removed, so that listeners stop
            // first.
            self.service
                .gateways
                .send_if_modified(|g| g.remove(&sub.gateway_ip));
            if let Err(e) = self.remove_bridges(lease, net).await {
                return self.wait(lease, net, &e).await;
            }
        }
        db::fenced!(self.service.db, lease, |tx| {
            let current = table::lock(tx, &net.id).await?;
            if !port::table::names_in(tx, &net.id).await?.is_empty() {
                return Ok(Next::Again);
            }
            if let Some(sub) = sub {
                router::table::drop_interfaces(tx, &sub.id).await?;
                subnet::table::drop_row(tx, &sub.id).await?;
            }
            let gone = current.status == Status::Deleting;
            if gone {
                table::drop_row(tx, &net.id).await?;
            } else {
                // A network without a subnet is only a row.
                table::set_status(tx, &net.id, Status::Active, None).await?;
            }
            let owners = net
                .owner()
                .into_iter()
                .chain(sub.and_then(SubnetRow::owner));
            mark_all(tx, owners.collect()).await?;
            Ok(if gone { Next::Gone } else { Next::Done })
        })
    }

    /// Removed by engine ids, so that a later bridge of the same name stays.
    async fn remove_bridges(&self, lease: &Lease, net: &NetworkRow) -> Result<()> {
        let fabric = &self.service.fabric;
        for bridge in fabric.named(&host_name(&net.id)).await? {
            if bridge.labels.get(LABEL).is_some_and(|id| net.id == *id) {
                fabric.remove(Actor::Lease(lease.epoch), &bridge.id).await?;
            }
        }
        Ok(())
    }

    /// The engine does not answer, or containers are still attached: events
    /// mark this key, and the retry covers lost events.
    async fn wait(&self, lease: &Lease, net: &NetworkRow, e: &Error) -> Result<Next> {
        self.service.late.note(e);
        self.report(lease, net, &e.message).await?;
        let elapsed = clock::now().since(net.changed_at);
        Ok(Next::After(backoff(elapsed, RETRY, ids::jitter())))
    }

    /// Stores the reason for waiting, which the owner shows.
    async fn report(&self, lease: &Lease, net: &NetworkRow, reason: &str) -> Result<()> {
        if net.status_reason.as_deref() == Some(reason) {
            return Ok(());
        }
        db::fenced!(self.service.db, lease, |tx| {
            table::set_reason(tx, &net.id, reason).await?;
            mark_all(tx, net.owner().into_iter().collect()).await
        })
    }
}

/// In a fixed order, so that two transactions never deadlock.
async fn mark_all(tx: &mut db::Tx, mut owners: Vec<OwnerKey>) -> Result<()> {
    owners.sort_by(|a, b| (&a.kind, &a.id).cmp(&(&b.kind, &b.id)));
    owners.dedup();
    for owner in owners {
        db::mark(tx, &owner.kind, &owner.id).await?;
    }
    Ok(())
}
