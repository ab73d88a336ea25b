//! Brings a server's container to what its row says.

use std::time::Duration;

use async_trait::async_trait;
use db::Tx;
use flow::{Lease, Next, Reconciler};
use infra::{backoff, is_stale};
use kernel::{Ctx, Error, Kind, Result, clock, ids};

use super::model::ServerRow;
use super::table;
use crate::Compute;
use crate::face::ServerStatus;

/// The reconciler's kind.
pub(crate) const KIND: &str = "server";
/// A host that did not answer is asked again after this at the earliest.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Why a run could not go on.
pub(super) enum Trouble {
    /// Our own rows: the run is repeated with back-off.
    Own(Error),
    /// The world: told in the row, repeated where that may help.
    World(Error),
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Self::Own(e)
    }
}

/// Sorts an error of another service's face: broken rows are its affair.
pub(super) fn of_face(e: Error) -> Trouble {
    match e.kind {
        Kind::Internal | Kind::Unavailable { .. } | Kind::OutcomeUnknown | Kind::Aborted => {
            Trouble::Own(e)
        }
        _ => Trouble::World(e),
    }
}

pub(crate) struct Servers {
    pub(super) compute: Compute,
}

impl Servers {
    pub(crate) fn new(compute: Compute) -> Self {
        Self { compute }
    }

    pub(super) fn ctx(lease: &Lease, s: &ServerRow) -> Ctx {
        Ctx::for_project(format!("req-{}", s.id), &s.project_id).with_generation(lease.epoch)
    }

    /// Nothing is done on an engine that is not known to be ours. One that is
    /// another is a matter of this process: the row is left to those that are
    /// connected to the right one.
    pub(super) async fn confirm_engine(&self) -> Result<(), Trouble> {
        self.compute.confirm_engine().await.map_err(|e| {
            if e.is_transient() {
                Trouble::World(e)
            } else {
                Trouble::Own(e)
            }
        })
    }

    /// Sorts an error of the engine: a stale worker changes nothing, and a
    /// call without an answer may still take place.
    pub(super) fn of_engine(&self, e: Error) -> Trouble {
        self.compute.late.note(&e);
        if is_stale(&e) {
            return Trouble::Own(e);
        }
        Trouble::World(e)
    }

    /// Writes the end of a step and wakes who waits for the server.
    pub(super) async fn mark_owner(&self, tx: &mut Tx, s: &ServerRow) -> Result<()> {
        match s.owner() {
            Some(owner) => db::mark(tx, &owner.kind, &owner.id).await,
            None => Ok(()),
        }
    }

    /// Writes what is waited for, once per text.
    pub(super) async fn report(
        &self,
        lease: &Lease,
        s: &ServerRow,
        text: &str,
        trouble: Option<i64>,
    ) -> Result<()> {
        if s.progress.as_deref() == Some(text) && s.trouble_since == trouble {
            return Ok(());
        }
        db::fenced!(self.compute.db, lease, |tx| {
            table::set_progress(tx, &s.id, Some(text), trouble).await?;
            self.mark_owner(tx, s).await
        })
    }

    pub(super) async fn fail(&self, lease: &Lease, s: &ServerRow, message: &str) -> Result<Next> {
        db::fenced!(self.compute.db, lease, |tx| {
            if table::set_fault(tx, &s.id, message).await? {
                self.mark_owner(tx, s).await?;
            }
            Ok(())
        })?;
        Ok(Next::Done)
    }

    /// A build's error of the world: a host that does not answer is waited
    /// for, until the deadline of whoever wants the server; all else ends the
    /// build.
    async fn troubled(&self, lease: &Lease, s: &ServerRow, e: &Error) -> Result<Next> {
        if e.is_transient() {
            let now = clock::now_micros();
            let since = s.trouble_since.unwrap_or(now);
            self.report(lease, s, &e.message, Some(since)).await?;
            return Ok(Next::After(backoff(now - since, RETRY, ids::jitter())));
        }
        tracing::warn!(server = s.id, error = %e, "server could not be built");
        let text = format!("server {} could not be built: {}", s.name, e.message);
        self.fail(lease, s, &text).await
    }
}

#[async_trait]
impl Reconciler for Servers {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let Some(s) = table::get(&self.compute.db, &lease.id).await? else {
            return Ok(Next::Gone);
        };
        match s.status {
            ServerStatus::Build => match self.build(lease, &s).await {
                Ok(next) => Ok(next),
                Err(Trouble::Own(e)) => Err(e),
                Err(Trouble::World(e)) => self.troubled(lease, &s, &e).await,
            },
            ServerStatus::Active | ServerStatus::Shutoff | ServerStatus::Paused => {
                self.observe(lease, &s).await
            }
            ServerStatus::Deleting => self.remove(lease, &s).await,
            // Somebody may have started it again.
            ServerStatus::Error if s.launched_at.is_some() => self.observe(lease, &s).await,
            ServerStatus::Error => Ok(Next::Done),
        }
    }
}
