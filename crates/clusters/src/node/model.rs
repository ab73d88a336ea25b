//! A node of a cluster and the reports of its agent.

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::coe::Coe;
use crate::{ClusterId, NodeId};

/// Lifecycle state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NodeStatus {
    /// Its agent has not registered yet.
    #[default]
    Waiting,
    /// Bootstrap steps are running.
    Running,
    Ready,
    Failed,
    /// Its server is lost and will be rebuilt under the same name.
    Lost,
    /// Being drained and removed from the cluster.
    Leaving,
    /// Its server is deleted; the row is kept because its index is never
    /// reused.
    Removed,
}

db::stored_enum! {
    NodeStatus:
        Waiting = "waiting",
        Running = "running",
        Ready = "ready",
        Failed = "failed",
        Lost = "lost",
        Leaving = "leaving",
        Removed = "removed",
}

/// What changes the state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeEvent {
    /// Its agent registered.
    Registered,
    /// A bootstrap step or its server failed before the node was ready.
    Failed,
    /// Its agent reported that the node is a member of the cluster.
    Joined,
    /// Its server is lost.
    Lost,
    /// The stack rebuilds its server.
    Rebuilding,
    /// It will be removed from the cluster.
    Leaving,
    /// It is kept, because the operation was cancelled. `was_ready`:
    /// whether it was ready before.
    Staying { was_ready: bool },
    /// Its server is deleted.
    Removed,
}

impl NodeStatus {
    /// The state after an event. An event that comes too late changes nothing.
    pub(crate) fn after(self, event: NodeEvent) -> Self {
        match (self, event) {
            (Self::Waiting, NodeEvent::Registered) => Self::Running,
            (Self::Waiting | Self::Running, NodeEvent::Failed) => Self::Failed,
            // A node may recover after it has reported a failure.
            (Self::Leaving | Self::Removed, NodeEvent::Joined) => self,
            (_, NodeEvent::Joined) => Self::Ready,
            (Self::Lost, NodeEvent::Rebuilding) => Self::Waiting,
            (Self::Removed, _) => self,
            (_, NodeEvent::Removed) => Self::Removed,
            (_, NodeEvent::Leaving) => Self::Leaving,
            (Self::Leaving, NodeEvent::Staying { was_ready: true }) => Self::Ready,
            (Self::Leaving, NodeEvent::Staying { was_ready: false }) => Self::Failed,
            (Self::Leaving, _) => self,
            (_, NodeEvent::Lost) => Self::Lost,
            (
                _,
                NodeEvent::Registered
                | NodeEvent::Failed
                | NodeEvent::Rebuilding
                | NodeEvent::Staying { .. },
            ) => self,
        }
    }

    /// Whether the node is part of the desired state.
    pub(crate) fn wanted(self) -> bool {
        !matches!(self, Self::Leaving | Self::Removed)
    }
}

/// A bootstrap step as the agent reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// `running`, `done` or `failed`.
    pub(crate) status: String,
    /// Start time of the step.
    #[serde(rename = "started_micros")]
    pub(crate) started_at: Timestamp,
    /// Time of the last status report.
    #[serde(rename = "at_micros")]
    pub(crate) reported_at: Timestamp,
    #[serde(default)]
    pub(crate) log: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) cluster_id: ClusterId,
    /// Name of its group.
    pub(crate) nodegroup: String,
    pub(crate) index: i64,
    pub(crate) name: String,
    pub(crate) is_master: bool,
    /// Runs in front of the masters: a server of the cluster, but not a member
    /// of it.
    pub(crate) is_balancer: bool,
    pub(crate) status: NodeStatus,
    pub(crate) steps: Vec<Step>,
    pub(crate) addresses: Vec<String>,
    /// Its pod range (Kubernetes only), reserved until the node is removed.
    pub(crate) pod_cidr: Option<String>,
    /// Sealed. The stack parameters repeat it in each update, since otherwise
    /// the user data of servers would change. Changes only with the server.
    pub(crate) token_sealed: String,
    /// Sealed: the token of the current server if it was rebuilt. For nodes
    /// that an earlier release rebuilt, `token_sealed` holds the new token.
    pub(crate) fresh_sealed: Option<String>,
    /// Hash of the current token.
    pub(crate) token_hash: String,
    /// An unused token expires then.
    pub(crate) token_expires: Timestamp,
    /// Hash of the session that used the token.
    pub(crate) session_hash: Option<String>,
    /// `SUCCESS` or `FAILURE`: the signal for the wait condition.
    pub(crate) signal: Option<String>,
    /// Whether the signal was sent.
    pub(crate) signalled: bool,
    /// The generation of the cluster that added the node.
    pub(crate) generation: i64,
    pub(crate) created_at: Timestamp,
}

impl Node {
    /// Adds a report; a report of an existing step replaces it.
    pub(crate) fn report(&mut self, name: &str, status: &str, at: Timestamp, log: &str) {
        if let Some(step) = self.steps.iter_mut().find(|s| s.name == name) {
            step.status = status.to_owned();
            step.reported_at = at;
            if !log.is_empty() {
                step.log = log.to_owned();
            }
            return;
        }
        self.steps.push(Step {
            name: name.to_owned(),
            status: status.to_owned(),
            started_at: at,
            reported_at: at,
            log: log.to_owned(),
        });
    }

    /// The first step that failed.
    pub(crate) fn failure(&self) -> Option<&Step> {
        self.steps.iter().find(|s| s.status == "failed")
    }

    /// `Node NAME: step STEP failed: LOG. HINT`.
    pub(crate) fn cause(&self, coe: Coe) -> Option<String> {
        let step = self.failure()?;
        let log = step.log.trim().trim_end_matches('.');
        let log = if log.is_empty() { "no output" } else { log };
        let hint = coe.hint(&step.name, log);
        Some(format!(
            "Node {}: step {} failed: {log}. {hint}",
            self.name, step.name
        ))
    }

    /// Whether a name, id, address or index in a request refers to this node.
    pub(crate) fn answers_to(&self, key: &str) -> bool {
        self.name == key
            || self.id == key
            || self.index.to_string() == key
            || self.addresses.iter().any(|a| a == key)
    }
}

/// The role as named in the seed file.
pub(crate) fn role(is_master: bool, is_balancer: bool) -> &'static str {
    match (is_master, is_balancer) {
        (true, _) => "manager",
        (_, true) => "balancer",
        _ => "worker",
    }
}

#[cfg(test)]
mod tests {
    use super::NodeEvent::{
        Failed as Fail, Joined, Leaving as Leave, Lost as Lose, Rebuilding, Registered,
        Removed as Remove, Staying,
    };
    use super::NodeStatus::{Failed, Leaving, Lost, Ready, Removed, Running, Waiting};

    /// For each event the states after it, in the order of `STATES`.
    #[test]
    fn a_late_event_changes_nothing() {
        const STATES: [super::NodeStatus; 7] =
            [Waiting, Running, Ready, Failed, Lost, Leaving, Removed];
        let (was_ready, was_not_ready) =
            (Staying { was_ready: true }, Staying { was_ready: false });
        for (event, after) in [
            (
                Registered,
                [Running, Running, Ready, Failed, Lost, Leaving, Removed],
            ),
            (
                Fail,
                [Failed, Failed, Ready, Failed, Lost, Leaving, Removed],
            ),
            (
                Joined,
                [Ready, Ready, Ready, Ready, Ready, Leaving, Removed],
            ),
            (Lose, [Lost, Lost, Lost, Lost, Lost, Leaving, Removed]),
            (
                Rebuilding,
                [Waiting, Running, Ready, Failed, Waiting, Leaving, Removed],
            ),
            (
                Leave,
                [
                    Leaving, Leaving, Leaving, Leaving, Leaving, Leaving, Removed,
                ],
            ),
            (
                was_ready,
                [Waiting, Running, Ready, Failed, Lost, Ready, Removed],
            ),
            (
                was_not_ready,
                [Waiting, Running, Ready, Failed, Lost, Failed, Removed],
            ),
            (Remove, [Removed; 7]),
        ] {
            assert_eq!(STATES.map(|s| s.after(event)), after, "{event:?}");
        }
    }
}
