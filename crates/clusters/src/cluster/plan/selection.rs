//! Selects the nodes of a group that leave, and the number of new ones.

use kernel::Result;

use crate::errors::bad_request;
use crate::node::{Node, NodeStatus};

/// Nodes of a group that leave, and the number of nodes to add.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Selection<'a> {
    pub(crate) leave: Vec<&'a Node>,
    pub(crate) add: i64,
}

fn count_of<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

/// Failed nodes leave first, then the named ones, then lost and newest ones.
/// `broken`: the last update failed, so every node that is not ready counts as
/// failed; lost nodes are rebuilt.
///
/// # Errors
/// 400 if a name is not that of a node, or more nodes are named than leave.
pub(crate) fn for_size<'a>(
    nodes: &[&'a Node],
    count: i64,
    named: &[String],
    broken: bool,
) -> Result<Selection<'a>> {
    let failed = |n: &Node| match n.status {
        NodeStatus::Failed => true,
        NodeStatus::Ready | NodeStatus::Lost => false,
        _ => broken,
    };
    let size = count_of(nodes);
    let shrink = (size - count).max(0);
    let mut leave: Vec<&Node> = Vec::new();
    for key in named {
        let Some(node) = nodes.iter().find(|n| n.answers_to(key)) else {
            return Err(bad_request(
                "nodes_to_remove",
                format!(
                    "nodes_to_remove: {key} is no node of this nodegroup; give names, ids or addresses."
                ),
            ));
        };
        if !leave.iter().any(|n| n.id == node.id) {
            leave.push(node);
        }
    }
    let asked = count_of(&leave);
    if asked > shrink {
        return Err(bad_request(
            "nodes_to_remove",
            format!(
                "nodes_to_remove names {asked} nodes, but from {size} to {count} only {shrink} can go."
            ),
        ));
    }
    for n in nodes.iter().filter(|n| failed(n)) {
        if !leave.iter().any(|l| l.id == n.id) {
            leave.push(n);
        }
    }
    let mut rest: Vec<&Node> = nodes
        .iter()
        .filter(|n| !leave.iter().any(|l| l.id == n.id))
        .copied()
        .collect();
    rest.sort_by_key(|n| (n.status == NodeStatus::Lost, n.index));
    while count_of(&rest) > count {
        if let Some(n) = rest.pop() {
            leave.push(n);
        }
    }
    Ok(Selection {
        add: count - count_of(&rest),
        leave,
    })
}

/// Nodes added by the operation that is rolled back leave, except ready ones
/// that replace removed nodes.
pub(crate) fn for_rollback<'a>(nodes: &[&'a Node], generation: i64, count: i64) -> Selection<'a> {
    let (added, kept): (Vec<&Node>, Vec<&Node>) = nodes
        .iter()
        .copied()
        .partition(|n| n.generation == generation);
    let mut missing = count - count_of(&kept);
    let mut leave = Vec::new();
    for n in added {
        if missing > 0 && n.status == NodeStatus::Ready {
            missing -= 1;
        } else {
            leave.push(n);
        }
    }
    Selection {
        leave,
        add: missing.max(0),
    }
}

/// Splits leaving nodes into those that are withdrawn and those that leave.
/// Nodes that the stack does not know yet are withdrawn and their indices are
/// reused, because the stack would not record them as removed. They are
/// interchangeable, so the newest are withdrawn, which leaves no gap.
pub(crate) fn split<'a>(
    nodes: &[&'a Node],
    leave: Vec<&'a Node>,
    sent: i64,
) -> (Vec<&'a Node>, Vec<&'a Node>) {
    let (unsent, leaving): (Vec<&Node>, Vec<&Node>) =
        leave.into_iter().partition(|n| n.generation > sent);
    let mut newest: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.generation > sent)
        .copied()
        .collect();
    newest.sort_by_key(|n| -n.index);
    newest.truncate(unsent.len());
    (newest, leaving)
}

/// Returns the nodes whose servers can be rebuilt. `in_error` lists the names of
/// servers in error; `not_running` lists all servers that do not run, including those.
pub(crate) fn for_rebuild<'a>(
    nodes: &'a [Node],
    in_error: &[String],
    not_running: &[String],
) -> Vec<&'a Node> {
    let masters = || nodes.iter().filter(|n| n.is_master && n.status.wanted());
    let running_masters =
        masters().filter(|n| n.status == NodeStatus::Ready && !not_running.contains(&n.name));
    // Without a majority, the remaining members hold the only copy of the data
    // of the cluster.
    let majority = running_masters.count() > masters().count() / 2;
    nodes
        .iter()
        .filter(|n| match n.status {
            NodeStatus::Lost => true,
            NodeStatus::Ready => in_error.contains(&n.name),
            // The last rebuild failed. A worker is replaced instead.
            NodeStatus::Failed => n.is_master || n.is_balancer,
            _ => false,
        })
        .filter(|n| majority || !n.is_master)
        .collect()
}
