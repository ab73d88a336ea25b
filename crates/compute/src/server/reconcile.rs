//! Reconciles the container of a server with its row.

use async_trait::async_trait;
use flow::{Lease, Next, Reconciler};
use infra::backoff;
use kernel::{Error, Result, clock, ids};

use super::model::{KIND, ServerRow};
use super::table;
use super::worker::{RETRY, RunError, Servers};
use crate::ServerId;
use crate::api::ServerStatus;

impl Servers {
    /// Handles an external error of a build: an unreachable host is retried
    /// until the deadline of the owner; any other error ends the build.
    async fn handle_external_error(&self, lease: &Lease, s: &ServerRow, e: &Error) -> Result<Next> {
        if e.is_transient() {
            let now = clock::now();
            let since = s.trouble_since.unwrap_or(now);
            self.report(lease, s, &e.message, Some(since)).await?;
            return Ok(Next::After(backoff(now.since(since), RETRY, ids::jitter())));
        }
        tracing::warn!(server = s.id.as_str(), error = %e, "server could not be built");
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
        let Some(s) = table::get(&self.compute.db, &ServerId::from(&lease.id)).await? else {
            return Ok(Next::Gone);
        };
        match s.status {
            ServerStatus::Build => match self.build(lease, &s).await {
                Ok(next) => Ok(next),
                Err(RunError::Database(e)) => Err(e),
                Err(RunError::External(e)) => self.handle_external_error(lease, &s, &e).await,
            },
            ServerStatus::Active | ServerStatus::Shutoff | ServerStatus::Paused => {
                self.observe(lease, &s).await
            }
            ServerStatus::Deleting => self.remove(lease, &s).await,
            // It may have been started again concurrently.
            ServerStatus::Error if s.launched_at.is_some() => self.observe(lease, &s).await,
            ServerStatus::Error => Ok(Next::Done),
        }
    }
}
