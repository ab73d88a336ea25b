//! The steps that plans consist of.

use crate::NodeId;
use crate::node::TaskKind;
use kernel::Timestamp;
use std::time::Duration;

/// A step of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// These nodes fail, because their servers are in error.
    FailNodes(Vec<NodeFailure>),
    /// The result of this node (id) is sent to the stack again.
    RepeatSignal(NodeId),
    CreateStack,
    UpdateStack,
    /// `retry`: the stack could not be deleted before, for this reason.
    DeleteStack {
        retry: Option<String>,
    },
    /// The stack could not be deleted, for this reason; it is tried again.
    ReportDeleteFailure(String),
    /// Masters remove the Node objects of these nodes, whose servers are gone.
    RemoveNodes(Vec<String>),
    /// A master changes the members of etcd: the kind of the task, and the node
    /// that it concerns.
    ChangeMember(TaskKind, String),
    /// The servers of these nodes (ids) are lost and have to be rebuilt.
    Replace(Vec<NodeId>),
    /// A node could not be drained: the resize is cancelled, and no node is changed.
    Cancel(String),
    /// The update failed and is rolled back; the text is the cause.
    RollBack(String),
    /// The stack is deleted: delete the rows.
    Purge,
    /// Wait for an event; the text names it.
    Wait(Option<String>),
    /// As `Wait`, but run again at this time.
    WaitUntil(Timestamp, String),
    /// The operation has ended; the text is the cause of a failure.
    Settle(Result<(), String>),
}

/// A node whose server failed before its agent reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeFailure {
    /// Id of the node.
    pub(crate) node: NodeId,
    pub(crate) why: String,
}

/// A change of the desired nodes of a cluster. An operation starts with the
/// changes that it needs, all in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeStep {
    /// The group gets this many nodes.
    SetSize { group: String, count: i64 },
    /// The stack does not know this node (id) yet: its row is deleted and its
    /// index is used again.
    DeleteUnsent { node: NodeId },
    /// A new node in the group, with its pod range (Kubernetes only).
    Add {
        group: String,
        pod_cidr: Option<String>,
    },
    /// A balancer in front of the masters.
    AddBalancer,
    /// The node (id) is lost and gets another server under the same name.
    Replace { node: NodeId },
    /// The node (id) leaves, after a drain of at most `drain`; `None`:
    /// it is not drained.
    Remove {
        node: NodeId,
        drain: Option<Duration>,
    },
    /// The node (id) is kept after its removal was cancelled. `was_ready`: it was
    /// ready before; `uncordon`: a master makes it schedulable again.
    CancelRemoval {
        node: NodeId,
        was_ready: bool,
        uncordon: bool,
    },
}
