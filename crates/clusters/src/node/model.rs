//! A node of a cluster and the reports of its agent.

use kernel::{Result, ids};
use serde::{Deserialize, Serialize};

use crate::coe::Coe;

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

impl NodeStatus {
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
    pub(crate) started_micros: i64,
    /// Time of the last status report.
    pub(crate) at_micros: i64,
    #[serde(default)]
    pub(crate) log: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) cluster_id: String,
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
    /// Microseconds; an unused token expires then.
    pub(crate) token_expires: i64,
    /// Hash of the session that used the token.
    pub(crate) session_hash: Option<String>,
    /// `SUCCESS` or `FAILURE`: the signal for the wait condition.
    pub(crate) signal: Option<String>,
    /// Whether the signal was sent.
    pub(crate) signalled: bool,
    /// The generation of the cluster that added the node.
    pub(crate) generation: i64,
    pub(crate) created_at: i64,
}

impl Node {
    /// Adds a report; a report of an existing step replaces it.
    pub(crate) fn report(&mut self, name: &str, status: &str, at: i64, log: &str) {
        if let Some(step) = self.steps.iter_mut().find(|s| s.name == name) {
            step.status = status.to_owned();
            step.at_micros = at;
            if !log.is_empty() {
                step.log = log.to_owned();
            }
            return;
        }
        self.steps.push(Step {
            name: name.to_owned(),
            status: status.to_owned(),
            started_micros: at,
            at_micros: at,
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

/// A task for an agent inside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) cluster_id: String,
    /// One of [`KINDS`].
    pub(crate) kind: String,
    /// Name of the node that the task concerns.
    pub(crate) node: String,
    /// One of [`STATUSES`].
    pub(crate) status: String,
    /// The node that claimed the task, and the end of the claim.
    pub(crate) taken_by: Option<String>,
    pub(crate) taken_until: i64,
    /// Microseconds; afterwards the operation continues without the result.
    pub(crate) deadline: i64,
    pub(crate) log: String,
    pub(crate) generation: i64,
    pub(crate) created_at: i64,
}

const KINDS: [&str; 7] = [
    "drain",
    "remove",
    "activate",
    "promote",
    "reload-ca",
    "add-member",
    "promote-member",
];
const STATUSES: [&str; 3] = ["pending", "done", "failed"];

impl Task {
    /// The row, unless a newer release has written it.
    ///
    /// # Errors
    /// Same errors as [`db::unknown_stored_value`].
    pub(crate) fn reject_newer(self) -> Result<Self> {
        if !KINDS.contains(&self.kind.as_str()) {
            return Err(db::unknown_stored_value("kind of task", &self.kind));
        }
        if !STATUSES.contains(&self.status.as_str()) {
            return Err(db::unknown_stored_value("status of a task", &self.status));
        }
        Ok(self)
    }

    pub(crate) fn new(cluster: &str, kind: &str, node: &str, now: i64, seconds: i64) -> Self {
        Self {
            id: ids::uuid(),
            cluster_id: cluster.to_owned(),
            kind: kind.to_owned(),
            node: node.to_owned(),
            status: "pending".into(),
            deadline: now + seconds * 1_000_000,
            created_at: now,
            ..Self::default()
        }
    }

    pub(crate) fn pending(&self, now: i64) -> bool {
        self.status == "pending" && self.deadline > now
    }
}
