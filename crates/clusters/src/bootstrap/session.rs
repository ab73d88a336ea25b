//! The server's side of an agent's streams: what the agent has been told, and
//! what it is told next. Each is driven by the body of its answer, so it ends
//! with the connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kernel::Result;
use nodewire::{Accepted, Cancel, JoinTicket, ServerFrame, TaskKind};
use tokio::time::sleep;

use super::assign;
use super::feed::{Subscription, View};
use super::ops::Who;
use crate::ClustersDeps;
use crate::coe::Coe;

/// After a task that could not be taken from the database.
const RETRY: Duration = Duration::from_secs(1);

/// The node of a stream and its sight of the cluster.
struct Follower {
    who: Who,
    feed: Subscription,
    started: bool,
}

impl Follower {
    /// A fresh view, then each that differs; `None` once the node is no node
    /// of the cluster any more, or another session is its session.
    async fn view(&mut self) -> Option<Arc<View>> {
        let view = if self.started {
            self.feed.changed().await?
        } else {
            self.feed.fresh().await?
        };
        self.started = true;
        let node = &self.who.node;
        let hash = node.session_hash.as_deref().unwrap_or_default();
        view.holds(&node.id, hash).then_some(view)
    }
}

/// What every agent is told.
pub(crate) struct Session {
    follower: Follower,
    queue: VecDeque<ServerFrame>,
    /// What the agent knows.
    ticket: Option<JoinTicket>,
    peers: Option<String>,
}

impl Session {
    /// `peers`: the version that the agent knows from before.
    pub(crate) fn new(
        who: Who,
        accepted: Accepted,
        peers: Option<String>,
        feed: Subscription,
    ) -> Self {
        Self {
            follower: Follower {
                who,
                feed,
                started: false,
            },
            queue: VecDeque::from([ServerFrame::Accepted(Box::new(accepted))]),
            ticket: None,
            peers,
        }
    }

    /// Waits for something to say; `None` once the session is over.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let view = self.follower.view().await?;
            let ticket = view.ticket(self.follower.who.node.is_master);
            if ticket != self.ticket
                && let Some(ticket) = ticket
            {
                self.ticket = Some(ticket.clone());
                self.queue.push_back(ServerFrame::Ticket(ticket));
            }
            if let Some(peers) = &view.peers
                && self.peers.as_ref() != Some(&peers.version)
            {
                self.peers = Some(peers.version.clone());
                let peers = peers.as_ref().clone();
                self.queue.push_back(ServerFrame::Peers(peers));
            }
        }
    }
}

/// What a manager is asked to do, while it is able to.
pub(crate) struct Duties {
    d: Arc<ClustersDeps>,
    follower: Follower,
    queue: VecDeque<ServerFrame>,
    /// Tasks that it has not answered; whether each is a drain.
    given: BTreeMap<String, bool>,
}

impl Duties {
    pub(crate) fn new(d: Arc<ClustersDeps>, who: Who, feed: Subscription) -> Self {
        Self {
            d,
            follower: Follower {
                who,
                feed,
                started: false,
            },
            queue: VecDeque::new(),
            given: BTreeMap::new(),
        }
    }

    /// Waits for a task or the end of one; `None` once the session is over.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let view = self.follower.view().await?;
            if let Err(e) = self.give(&view).await {
                let node = &self.follower.who.node.name;
                tracing::warn!(node, error = %e, "the next task of an agent");
                sleep(RETRY).await;
                self.follower.started = false;
            }
        }
    }

    /// In a swarm drains are done side by side; everything else is done one
    /// at a time, so that several managers share the tasks.
    async fn give(&mut self, view: &View) -> Result<()> {
        let (given, queue) = (&mut self.given, &mut self.queue);
        given.retain(|id, _| {
            let task = view.tasks.iter().find(|t| t.id == *id);
            if task.is_none() {
                queue.push_back(ServerFrame::Cancel(Cancel { task: id.clone() }));
            }
            task.is_some_and(|t| t.status == "pending")
        });
        let who = &self.follower.who;
        let side_by_side = who.cluster.engine()? == Coe::Swarm;
        while self.given.is_empty() || (side_by_side && self.given.values().all(|drain| *drain)) {
            let has: Vec<&str> = self.given.keys().map(String::as_str).collect();
            let Some(task) = assign::next_task(&self.d, who, view, &has).await? else {
                break;
            };
            let drain = matches!(task.kind, TaskKind::Drain { .. });
            if !drain && !self.given.is_empty() {
                // It is taken; it is given when the drains are over.
                break;
            }
            self.given.insert(task.id.clone(), drain);
            self.queue.push_back(ServerFrame::Task(task));
        }
        Ok(())
    }
}
