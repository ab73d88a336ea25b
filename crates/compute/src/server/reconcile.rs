//! Brings a server's container to what its row says.

use std::time::Duration;

use async_trait::async_trait;
use db::Tx;
use flow::{Lease, Next, Reconciler};
use kernel::{Ctx, Error, Kind, Result, clock};

use super::model::Srv;
use super::table;
use crate::Compute;
use crate::face::ServerStatus;

/// The reconciler's kind.
pub(crate) const KIND: &str = "server";
/// A host that does not answer for so long fails a build, microseconds.
const PATIENCE: i64 = 60_000_000;
/// How soon a host that did not answer is asked again.
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

    pub(super) fn ctx(s: &Srv) -> Ctx {
        Ctx::for_project(format!("req-{}", s.id), &s.project_id)
    }

    pub(super) async fn fenced(&self, lease: &Lease) -> Result<Tx> {
        let mut tx = self.compute.db.begin().await?;
        tx.fence(lease).await?;
        Ok(tx)
    }

    /// Writes the end of a step and wakes who waits for the server.
    pub(super) async fn mark_owner(&self, tx: &mut Tx, s: &Srv) -> Result<()> {
        match &s.owner {
            Some(owner) => db::mark(tx, &owner.kind, &owner.id).await,
            None => Ok(()),
        }
    }

    /// Tells what is waited for, once per text.
    pub(super) async fn say(
        &self,
        lease: &Lease,
        s: &Srv,
        text: &str,
        trouble: Option<i64>,
    ) -> Result<()> {
        if s.progress.as_deref() == Some(text) && s.trouble_since == trouble {
            return Ok(());
        }
        let mut tx = self.fenced(lease).await?;
        table::set_progress(&mut tx, &s.id, text, trouble).await?;
        self.mark_owner(&mut tx, s).await?;
        tx.commit().await
    }

    pub(super) async fn fail(&self, lease: &Lease, s: &Srv, message: &str) -> Result<Next> {
        let mut tx = self.fenced(lease).await?;
        if table::set_fault(&mut tx, &s.id, message).await? {
            self.mark_owner(&mut tx, s).await?;
        }
        tx.commit().await?;
        Ok(Next::Done)
    }

    /// A build's error of the world: told and repeated for a while where the
    /// host does not answer, else the end.
    async fn troubled(&self, lease: &Lease, s: &Srv, e: &Error) -> Result<Next> {
        let now = clock::now_micros();
        let since = s.trouble_since.unwrap_or(now);
        if e.is_transient() && now - since < PATIENCE {
            self.say(lease, s, &e.message, Some(since)).await?;
            return Ok(Next::After(RETRY));
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
