//! State of one boot, which all kinds of nodes share.

use std::path::PathBuf;

use kernel::{Error, Result};
use nodewire::Seed;
use tokio::sync::watch;

use crate::channel::{Channel, is_refusal};
use crate::engine::Engine;
use crate::report::{Reporter, log_line, plain};
use crate::seed::Session;
use crate::supervise::Tail;

/// Result of endless futures.
pub(crate) type Never = std::convert::Infallible;

/// A shared future whose result several parts wait for.
pub(crate) trait Once<T>: Future<Output = Result<T>> + Clone {}
impl<T, F: Future<Output = Result<T>> + Clone> Once<T> for F {}

/// State of one boot.
pub(crate) struct Boot {
    pub(crate) seed: Seed,
    pub(crate) home: PathBuf,
    pub(crate) session: Session,
    pub(crate) channel: Channel,
    pub(crate) reporter: Reporter,
    pub(crate) engine: Engine,
    pub(crate) tail: Tail,
    /// Set to true when the server has the session.
    pub(crate) welcomed: watch::Sender<bool>,
}

impl Boot {
    /// Runs one part of the node. If it fails, the failure is logged and the
    /// other parts continue; the failed part runs again after a restart of the
    /// container. Only the refusal of a node that was never ready is returned,
    /// so that the process exits.
    pub(crate) async fn report_failure(
        &self,
        part: impl Future<Output = Result<Never>>,
    ) -> Result<Never> {
        match part.await {
            Ok(never) => match never {},
            Err(e) if is_refusal(&e) && !self.session.ready => Err(Error::new(
                e.kind.clone(),
                format!(
                    "the server {} refused this node: {} (its token was used by another node, has expired, or the cluster is deleted)",
                    self.channel.server(),
                    e.message
                ),
            )),
            Err(e) => {
                log_line(format_args!("gave up: {}", plain(&e)));
                std::future::pending().await
            }
        }
    }
}
