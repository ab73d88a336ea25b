//! What the server asks of a manager or master.

use serde::{Deserialize, Serialize};

/// Something to do inside the cluster. Repeating one is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    #[serde(flatten)]
    pub kind: TaskKind,
    /// Seconds after which the agent gives up; its own default where null.
    #[serde(default)]
    pub deadline: Option<u32>,
}

/// `node` is a host name in the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TaskKind {
    /// Takes no more work; ends when no task runs on it.
    Drain {
        node: String,
        /// Nodes that are drained after it: they take no more work either,
        /// or what leaves this one would move twice.
        #[serde(default)]
        others: Vec<String>,
    },
    /// Takes work again.
    Activate {
        node: String,
    },
    /// Demotes where needed, drains, takes it off the list. A node that is
    /// not on the list is removed already.
    Remove {
        node: String,
    },
    /// Ends when it is a reachable member of the raft.
    Promote {
        node: String,
    },
    Demote {
        node: String,
    },
    /// A new key and certificate for this node's own TLS listener.
    ReloadCa,
    /// New join tokens; `published` follows.
    RotateTokens,
    /// etcd forgets the members at these addresses, who are dead, and takes
    /// a new one that has no vote yet. Its node starts when this is done.
    AddMember {
        address: String,
        #[serde(default)]
        lost: Vec<String>,
    },
    /// Ends when the member at this address has a vote.
    PromoteMember {
        address: String,
    },
    /// From a newer server. Refused by the agent, never fatal.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    pub ok: bool,
    /// Whether the agent does not know the kind of task: another attempt
    /// would end alike.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsupported: bool,
    pub log: String,
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
