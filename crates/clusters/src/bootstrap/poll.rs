//! Long polls of protocol 1: a request waits until the view of its cluster
//! changes.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{JoinTicket, Peers, Task};
use tokio::time::{Instant, timeout_at};

use super::assign;
use super::caller::NodeSession;
use super::feed::{Subscription, View};
use crate::ClustersDeps;
use crate::coe::Coe;

/// Maximum duration of a long poll.
const LONGEST: Duration = Duration::from_secs(60);

/// Iterates over views of a cluster until the poll times out.
struct LongPoll {
    end: Instant,
    feed: Subscription,
    started: bool,
}

impl LongPoll {
    fn new(feed: Subscription, wait: Duration) -> Self {
        Self {
            end: Instant::now() + wait.min(LONGEST),
            feed,
            started: false,
        }
    }

    /// Returns the current view first, then each view that differs; `None`
    /// after the timeout.
    async fn next(&mut self) -> Option<Arc<View>> {
        if !self.started {
            self.started = true;
            return Some(self.feed.fresh().await);
        }
        timeout_at(self.end, self.feed.changed()).await.ok()
    }
}

/// Returns the join ticket as soon as the first manager has published it.
pub(crate) async fn join(
    caller: &NodeSession,
    feed: Subscription,
    wait: Duration,
) -> Option<JoinTicket> {
    let mut poll = LongPoll::new(feed, wait);
    while let Some(view) = poll.next().await {
        let found = view.ticket(caller.node.is_master);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Returns the peers as soon as they differ from the version that the node has.
pub(crate) async fn peers(
    caller: &NodeSession,
    feed: Subscription,
    known: &str,
    wait: Duration,
) -> Result<Option<Arc<Peers>>> {
    if caller.cluster.engine()? != Coe::Kubernetes {
        return Err(Error::invalid(
            "coe",
            "coe: only nodes of a Kubernetes cluster have peers.",
        ));
    }
    let mut poll = LongPoll::new(feed, wait);
    while let Some(view) = poll.next().await {
        if let Some(found) = view.peers.as_ref().filter(|p| p.version != known) {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}

/// Returns the next task for this manager, except the tasks in `busy`. Workers
/// get no tasks.
pub(crate) async fn task(
    d: &ClustersDeps,
    caller: &NodeSession,
    feed: Subscription,
    busy: &[&str],
    wait: Duration,
) -> Result<Option<Task>> {
    if !caller.node.is_master {
        tokio::time::sleep(wait.min(LONGEST)).await;
        return Ok(None);
    }
    let mut poll = LongPoll::new(feed, wait);
    while let Some(view) = poll.next().await {
        let found = assign::next_task(d, caller, &view, busy).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
