//! Long polls of agents of protocol 1: they sleep until the view of their
//! cluster changes.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{JoinTicket, Peers, Task};
use tokio::time::{Instant, timeout_at};

use super::assign;
use super::feed::{Subscription, View};
use super::ops::Who;
use crate::ClustersDeps;
use crate::coe::Coe;

/// Agents may ask to wait so long.
const LONGEST: Duration = Duration::from_secs(60);

/// The views of a cluster until the time of a poll is over.
struct Patience {
    end: Instant,
    feed: Subscription,
    started: bool,
}

impl Patience {
    fn new(feed: Subscription, wait: Duration) -> Self {
        Self {
            end: Instant::now() + wait.min(LONGEST),
            feed,
            started: false,
        }
    }

    /// A fresh view, then each that differs; `None` when the time is over.
    async fn next(&mut self) -> Option<Arc<View>> {
        if !self.started {
            self.started = true;
            return self.feed.fresh().await;
        }
        timeout_at(self.end, self.feed.changed()).await.ok()?
    }
}

/// How to join, once the first manager has published it.
pub(crate) async fn join(who: &Who, feed: Subscription, wait: Duration) -> Option<JoinTicket> {
    let mut patience = Patience::new(feed, wait);
    while let Some(view) = patience.next().await {
        let found = view.ticket(who.node.is_master);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Who else is there, once it is not what the node knows already.
pub(crate) async fn peers(
    who: &Who,
    feed: Subscription,
    known: &str,
    wait: Duration,
) -> Result<Option<Arc<Peers>>> {
    if who.cluster.engine()? != Coe::Kubernetes {
        return Err(Error::invalid(
            "coe",
            "coe: only nodes of a Kubernetes cluster have peers.",
        ));
    }
    let mut patience = Patience::new(feed, wait);
    while let Some(view) = patience.next().await {
        if let Some(found) = view.peers.as_ref().filter(|p| p.version != known) {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}

/// The next task for this manager, besides those it is busy with; workers
/// have none.
pub(crate) async fn task(
    d: &ClustersDeps,
    who: &Who,
    feed: Subscription,
    busy: &[&str],
    wait: Duration,
) -> Result<Option<Task>> {
    if !who.node.is_master {
        tokio::time::sleep(wait.min(LONGEST)).await;
        return Ok(None);
    }
    let mut patience = Patience::new(feed, wait);
    while let Some(view) = patience.next().await {
        let found = assign::next_task(d, who, &view, busy).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
