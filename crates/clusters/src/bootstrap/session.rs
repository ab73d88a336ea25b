//! Server side of the streams of an agent: tracks what was sent and computes
//! what to send next. Each stream is driven by its response body, so it ends
//! with the connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kernel::Result;
use nodewire::{Accepted, Cancel, JoinTicket, ServerFrame, TaskKind};
use tokio::time::sleep;

use super::assign;
use super::caller::NodeSession;
use super::feed::{Subscription, View};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::node::TaskStatus;

/// Delay after a task could not be claimed because of a database error.
const RETRY: Duration = Duration::from_secs(1);

/// The node of a stream, and its subscription to the view of the cluster.
struct Follower {
    caller: NodeSession,
    feed: Subscription,
    started: bool,
}

impl Follower {
    /// Returns the current view first, then each view that differs; `None` if
    /// the node was removed from the cluster or has a newer session.
    async fn view(&mut self) -> Option<Arc<View>> {
        let view = if self.started {
            self.feed.changed().await
        } else {
            self.feed.fresh().await
        };
        self.started = true;
        let node = &self.caller.node;
        let hash = node.session_hash.as_deref().unwrap_or_default();
        view.has_session(&node.id, hash).then_some(view)
    }
}

/// The stream of frames that every agent receives.
pub(crate) struct Session {
    follower: Follower,
    queue: VecDeque<ServerFrame>,
    /// State that was already sent to the agent.
    ticket: Option<JoinTicket>,
    peers: Option<String>,
}

impl Session {
    /// `peers`: the version of the peers that the agent has from an earlier
    /// session.
    pub(crate) fn new(
        caller: NodeSession,
        accepted: Accepted,
        peers: Option<String>,
        feed: Subscription,
    ) -> Self {
        Self {
            follower: Follower {
                caller,
                feed,
                started: false,
            },
            queue: VecDeque::from([ServerFrame::Accepted(Box::new(accepted))]),
            ticket: None,
            peers,
        }
    }

    /// Returns the next frame; `None` when the session has ended.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let view = self.follower.view().await?;
            let ticket = view.ticket(self.follower.caller.node.is_master);
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

/// The stream of tasks of a manager that is ready to run them.
pub(crate) struct TaskStream {
    d: Arc<ClustersDeps>,
    follower: Follower,
    queue: VecDeque<ServerFrame>,
    /// Tasks without a result yet; the value says whether the task is a drain.
    given: BTreeMap<String, bool>,
}

impl TaskStream {
    pub(crate) fn new(d: Arc<ClustersDeps>, caller: NodeSession, feed: Subscription) -> Self {
        Self {
            d,
            follower: Follower {
                caller,
                feed,
                started: false,
            },
            queue: VecDeque::new(),
            given: BTreeMap::new(),
        }
    }

    /// Returns the next task or cancellation; `None` when the session has
    /// ended.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let view = self.follower.view().await?;
            if let Err(e) = self.queue_tasks(&view).await {
                let node = &self.follower.caller.node.name;
                tracing::warn!(node, error = %e, "the next task of an agent");
                sleep(RETRY).await;
                self.follower.started = false;
            }
        }
    }

    /// In a swarm drains run in parallel. All other tasks run one at a time, so
    /// that several managers share them.
    async fn queue_tasks(&mut self, view: &View) -> Result<()> {
        let (given, queue) = (&mut self.given, &mut self.queue);
        given.retain(|id, _| {
            let task = view.tasks.iter().find(|t| t.id == *id);
            if task.is_none() {
                queue.push_back(ServerFrame::Cancel(Cancel { task: id.clone() }));
            }
            task.is_some_and(|t| t.status == TaskStatus::Pending)
        });
        let caller = &self.follower.caller;
        let side_by_side = caller.cluster.engine()? == Coe::Swarm;
        while self.given.is_empty() || (side_by_side && self.given.values().all(|drain| *drain)) {
            let has: Vec<&str> = self.given.keys().map(String::as_str).collect();
            let Some(task) = assign::next_task(&self.d, caller, view, &has).await? else {
                break;
            };
            let drain = matches!(task.kind, TaskKind::Drain { .. });
            if !drain && !self.given.is_empty() {
                // The task is claimed now and sent when the drains have ended.
                break;
            }
            self.given.insert(task.id.clone(), drain);
            self.queue.push_back(ServerFrame::Task(task));
        }
        Ok(())
    }
}
