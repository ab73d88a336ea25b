//! Removes all objects of a server, then its row.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::{Lease, Next};
use infra::{Actor, Isolation, backoff};
use kernel::{Error, Kind, Result, clock, ids};

use super::model::ServerRow;
use super::table;
use super::worker::{RETRY, RunError, Servers};
use crate::{host, ledger};

/// The engine is still using a container or a volume.
const IN_USE_RETRY: Duration = Duration::from_millis(200);
/// The removal fails after this time if the engine keeps refusing, for example
/// because another container uses a volume.
const REFUSAL_TIMEOUT: Duration = Duration::from_mins(10);

impl Servers {
    pub(super) async fn remove(&self, lease: &Lease, s: &ServerRow) -> Result<Next> {
        // A server that was never placed has no objects on any host.
        if s.host.is_some() {
            match self.remove_objects(lease, s).await {
                Ok(()) => {}
                Err(RunError::Database(e)) => return Err(e),
                Err(RunError::External(e)) => return self.handle_removal_error(lease, s, &e).await,
            }
        }
        let (ctx, ports) = (Self::ctx(lease, s), &self.compute.network.ports);
        for nic in &s.networks.0 {
            match nic.network_id {
                Some(_) => ports.delete(&ctx, &nic.port_id).await?,
                None => ports.unbind(&ctx, &nic.port_id, &s.id).await?,
            }
        }
        db::fenced!(self.compute.db, lease, |tx| {
            ledger::table::drop_of(tx, &s.id).await?;
            if let Some(name) = &s.host {
                host::release(tx, name, s.resource_request()).await?;
            }
            table::drop_row(tx, &s.id).await?;
            self.mark_owner(tx, s).await
        })?;
        Ok(Next::Gone)
    }

    async fn remove_objects(&self, lease: &Lease, s: &ServerRow) -> Result<(), RunError> {
        let compute = &self.compute;
        self.confirm_engine().await?;
        let volumes = ledger::table::volumes_before(&compute.db, &s.id, i64::MAX).await?;
        self.remove_container_and_volumes(lease, s, &volumes, |_| true)
            .await
    }

    /// Removes the container by its engine id if `which` accepts its labels,
    /// and removes the volumes.
    pub(super) async fn remove_container_and_volumes(
        &self,
        lease: &Lease,
        s: &ServerRow,
        volumes: &[String],
        which: impl Fn(&BTreeMap<String, String>) -> bool + Send,
    ) -> Result<(), RunError> {
        let (host, actor) = (&self.compute.host, Actor::Lease(lease.epoch));
        let found = host
            .inspect(&s.container())
            .await
            .map_err(RunError::External)?;
        let own =
            |c: &infra::ContainerView| c.labels.get(infra::LABEL).is_some_and(|id| s.id == *id);
        let kept = found
            .as_ref()
            .is_some_and(|c| !(own(c) && which(&c.labels)));
        if !kept {
            if let Some(container) = found {
                let done = host.remove(actor, &container.id).await;
                done.map_err(|e| self.of_engine(e))?;
            }
            if s.isolation == Isolation::UserNamespace {
                let done = host.release(&s.container()).await;
                done.map_err(RunError::External)?;
            }
        }
        for volume in volumes {
            let done = host.remove_volume(actor, volume).await;
            done.map_err(|e| self.of_engine(e))?;
        }
        Ok(())
    }

    /// Retries an unreachable engine until the deadline of the owner; a refusal
    /// ends the removal after some time.
    async fn handle_removal_error(&self, lease: &Lease, s: &ServerRow, e: &Error) -> Result<Next> {
        let now = clock::now();
        let since = s.trouble_since.unwrap_or(now);
        let refused = !e.is_transient();
        if refused && now.since(since) > REFUSAL_TIMEOUT {
            let text = format!(
                "server {} could not be removed: {}; delete it again once that is resolved",
                s.name, e.message
            );
            tracing::warn!(server = s.id.as_str(), error = %e, "server could not be removed");
            db::fenced!(self.compute.db, lease, |tx| {
                table::set_not_removed(tx, &s.id, &text).await?;
                self.mark_owner(tx, s).await
            })?;
            return Ok(Next::Done);
        }
        let text = format!(
            "the removal of container {} waits: {}",
            s.container(),
            e.message
        );
        self.report(lease, s, &text, Some(since)).await?;
        let least = if e.kind == Kind::Conflict {
            IN_USE_RETRY
        } else {
            RETRY
        };
        Ok(Next::After(backoff(now.since(since), least, ids::jitter())))
    }
}
