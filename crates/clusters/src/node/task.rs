//! Tasks for agents inside a cluster.

use crate::{ClusterId, TaskId};
use kernel::Timestamp;
use std::time::Duration;

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TaskKind {
    #[default]
    Drain,
    /// Removes a node from the cluster.
    Remove,
    /// Lets a cordoned node take work again.
    Activate,
    /// Makes a worker of a swarm a manager.
    Promote,
    /// The node itself requests new certificates.
    ReloadCa,
    /// Replaces the etcd member of a lost master.
    AddMember,
    /// Makes an etcd member a voter.
    PromoteMember,
}

db::stored_enum! {
    TaskKind:
        Drain = "drain",
        Remove = "remove",
        Activate = "activate",
        Promote = "promote",
        ReloadCa = "reload-ca",
        AddMember = "add-member",
        PromoteMember = "promote-member",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TaskStatus {
    #[default]
    Pending,
    Done,
    Failed,
}

db::stored_enum! {
    TaskStatus:
        Pending = "pending",
        Done = "done",
        Failed = "failed",
}

impl TaskStatus {
    /// The status after an agent reported its result.
    pub(crate) fn of_result(ok: bool) -> Self {
        if ok { Self::Done } else { Self::Failed }
    }
}

/// A task for an agent inside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) cluster_id: ClusterId,
    pub(crate) kind: TaskKind,
    /// Name of the node that the task concerns.
    pub(crate) node: String,
    pub(crate) status: TaskStatus,
    /// The node that claimed the task, and the end of the claim.
    pub(crate) taken_by: Option<String>,
    pub(crate) taken_until: Timestamp,
    /// Afterwards the operation continues without the result.
    pub(crate) deadline: Timestamp,
    pub(crate) log: String,
    pub(crate) generation: i64,
    pub(crate) created_at: Timestamp,
}

impl Task {
    pub(crate) fn new(
        cluster: &ClusterId,
        kind: TaskKind,
        node: &str,
        now: Timestamp,
        limit: Duration,
    ) -> Self {
        Self {
            id: TaskId::random(),
            cluster_id: cluster.clone(),
            kind,
            node: node.to_owned(),
            deadline: now + limit,
            created_at: now,
            ..Self::default()
        }
    }

    /// Whether its result is still awaited.
    pub(crate) fn pending(&self, now: Timestamp) -> bool {
        self.status == TaskStatus::Pending && self.deadline > now
    }
}
