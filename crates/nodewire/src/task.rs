//! Tasks of a manager or master.

use serde::{Deserialize, Serialize};

use crate::bounds::{self, Bounded, FieldError, Message};

/// A task inside the cluster. Repeating one is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    #[serde(flatten)]
    pub kind: TaskKind,
    /// Seconds until the agent gives up; null: the default of the agent.
    #[serde(default)]
    pub deadline: Option<u32>,
}

/// `node` is a host name in the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TaskKind {
    /// Cordons the node; completes when no workload runs on it.
    Drain {
        node: String,
        /// Nodes that are drained next: they are cordoned too, so that
        /// workloads do not move twice.
        #[serde(default)]
        others: Vec<String>,
    },
    /// Uncordons the node.
    Activate {
        node: String,
    },
    /// Demotes if needed, drains, removes the node from the list. A node that
    /// is not on the list counts as removed.
    Remove {
        node: String,
    },
    /// Completes when the node is a reachable member of raft.
    Promote {
        node: String,
    },
    Demote {
        node: String,
    },
    /// A new key and certificate for the TLS listener of this node.
    ReloadCa,
    /// New join tokens; a `published` call follows.
    RotateTokens,
    /// Removes the dead etcd members at these addresses, and adds a new
    /// learner, whose node starts when this is done.
    AddMember {
        address: String,
        #[serde(default)]
        lost: Vec<String>,
    },
    /// Completes when the member at this address has a vote.
    PromoteMember {
        address: String,
    },
    /// A kind of a newer server. Refused by the agent, never fatal.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    pub ok: bool,
    /// Whether the agent does not know the kind of task, so that a retry is
    /// useless.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsupported: bool,
    pub log: String,
}

impl Bounded for Task {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("id", &self.id, bounds::ID)?;
        match &self.kind {
            TaskKind::Drain { node, others } => {
                bounds::text("node", node, bounds::NAME)?;
                bounds::texts("others", others, bounds::NODES, bounds::NAME)
            }
            TaskKind::Activate { node }
            | TaskKind::Remove { node }
            | TaskKind::Promote { node }
            | TaskKind::Demote { node } => bounds::text("node", node, bounds::NAME),
            TaskKind::AddMember { address, lost } => {
                bounds::text("address", address, bounds::ADDRESS)?;
                bounds::texts("lost", lost, bounds::NODES, bounds::ADDRESS)
            }
            TaskKind::PromoteMember { address } => {
                bounds::text("address", address, bounds::ADDRESS)
            }
            TaskKind::ReloadCa | TaskKind::RotateTokens | TaskKind::Unknown => Ok(()),
        }
    }
}

impl Bounded for TaskResult {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("log", &self.log, bounds::LOG)
    }
}

impl Message for TaskResult {
    const MAX_BYTES: usize = 2 * 1024 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_flat_and_newer_kinds_survive() {
        let drain: Task =
            serde_json::from_str(r#"{"id":"1","kind":"drain","node":"w-0","deadline":9}"#).unwrap();
        let kind = TaskKind::Drain {
            node: "w-0".into(),
            others: Vec::new(),
        };
        assert_eq!(drain.kind, kind);
        assert_eq!(drain.deadline, Some(9));
        let ca: Task = serde_json::from_str(r#"{"id":"2","kind":"reload-ca"}"#).unwrap();
        assert_eq!(ca.kind, TaskKind::ReloadCa);
        let new: Task = serde_json::from_str(r#"{"id":"3","kind":"dance","node":"x"}"#).unwrap();
        assert_eq!(new.kind, TaskKind::Unknown);
        let text = serde_json::to_string(&drain).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), drain);
    }
}
