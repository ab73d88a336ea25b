//! Awaited nodes whose servers stop before their agents report: the state from
//! compute is used instead.

use compute::api::{Server, ServerStatus};
use orchestration::api::{Stack, Status};

use super::NodeFailure;
use crate::cluster::model::{Cluster, Intent};
use crate::node::{Node, NodeStatus};

/// Whether the node fails if its server is in error. The server of a node that
/// is being rebuilt is in error until the stack has rebuilt it, so it is ignored
/// while the stack is in progress.
pub(crate) fn may_fail(n: &Node, stack: &Stack) -> bool {
    let awaited = matches!(n.status, NodeStatus::Waiting | NodeStatus::Running);
    // Its agent has not registered yet.
    let rebuilding = n.fresh_sealed.is_some() && n.session_hash.is_none();
    awaited && !(rebuilding && stack.status == Status::InProgress)
}

/// Whether the states of the servers are needed.
pub(crate) fn are_possible(c: &Cluster, nodes: &[Node], stack: &Stack) -> bool {
    matches!(c.intent, Intent::Create | Intent::Resize | Intent::Rollback)
        && nodes.iter().any(|n| may_fail(n, stack))
}

/// The nodes that fail with their servers.
pub(crate) fn find(nodes: &[Node], stack: &Stack, servers: &[Server]) -> Vec<NodeFailure> {
    nodes
        .iter()
        .filter(|n| may_fail(n, stack))
        .filter_map(|n| {
            let server = servers.iter().find(|s| s.name == n.name)?;
            let why = server.fault.as_ref().map(|f| f.message.clone());
            (server.status == ServerStatus::Error).then(|| NodeFailure {
                node: n.id.clone(),
                why: why.unwrap_or_default(),
            })
        })
        .collect()
}
