//! What all steps of the reconciler of servers share.

use std::time::Duration;

use db::Tx;
use flow::{Lease, Next};
use infra::is_stale;
use kernel::{Ctx, Error, Kind, Result, Timestamp};

use super::model::ServerRow;
use super::table;
use crate::Compute;

/// Minimum delay before a host that did not answer is contacted again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Error of a run.
pub(super) enum RunError {
    /// A database error: the run is repeated with backoff.
    Database(Error),
    /// An external error: stored in the row, and repeated if that may help.
    External(Error),
}

impl From<Error> for RunError {
    fn from(e: Error) -> Self {
        Self::Database(e)
    }
}

/// Converts an error of another service; internal errors are treated as
/// database errors.
pub(super) fn from_service(e: Error) -> RunError {
    match e.kind {
        Kind::Internal | Kind::Unavailable { .. } | Kind::OutcomeUnknown | Kind::Aborted => {
            RunError::Database(e)
        }
        _ => RunError::External(e),
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

    /// Verifies that the engine is ours. A different engine only concerns this
    /// process: the row is left to servers that are connected to the right
    /// engine.
    pub(super) async fn confirm_engine(&self) -> Result<(), RunError> {
        self.compute.confirm_engine().await.map_err(|e| {
            if e.is_transient() {
                RunError::External(e)
            } else {
                RunError::Database(e)
            }
        })
    }

    /// Converts an engine error: a stale worker changes nothing, and a call
    /// without an answer may still take effect.
    pub(super) fn of_engine(&self, e: Error) -> RunError {
        self.compute.late.note(&e);
        if is_stale(&e) {
            return RunError::Database(e);
        }
        RunError::External(e)
    }

    /// Writes the end of a step, and marks the owner of the server.
    pub(super) async fn mark_owner(&self, tx: &mut Tx, s: &ServerRow) -> Result<()> {
        match s.owner() {
            Some(owner) => db::mark(tx, &owner.kind, &owner.id).await,
            None => Ok(()),
        }
    }

    /// Stores the reason for waiting unless it is stored already.
    pub(super) async fn report(
        &self,
        lease: &Lease,
        s: &ServerRow,
        text: &str,
        unavailable_since: Option<Timestamp>,
    ) -> Result<()> {
        if s.progress.as_deref() == Some(text) && s.trouble_since == unavailable_since {
            return Ok(());
        }
        db::fenced!(self.compute.db, lease, |tx| {
            table::set_progress(tx, &s.id, Some(text), unavailable_since).await?;
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
}
