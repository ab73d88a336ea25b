//! Node objects of a Kubernetes cluster are removed after the servers, because
//! a running kubelet would register again.

use super::{Desired, Observed, Step};
use crate::cluster::model::Cluster;
use crate::node::{Node, NodeStatus, Task, TaskKind, TaskStatus};
use std::time::Duration;

/// Time limit of a master for removing a node from the cluster.
pub(crate) const REMOVE_LIMIT: Duration = Duration::from_secs(15);
/// Maximum number of attempts to remove a Node object.
const REMOVE_TRIES: usize = 5;

/// Removes the Node objects of the nodes that leave, after the stack has deleted
/// their servers.
pub(super) fn decide(want: Desired<'_>, seen: Observed<'_>) -> Step {
    if !has_ready_master(want.nodes) {
        // Without a ready master there is no API to remove the Node objects
        // from.
        return Step::Settle(Ok(()));
    }
    // A node that never registered has no Node object.
    let leaving = |n: &&Node| n.status == NodeStatus::Leaving && n.session_hash.is_some();
    let leaving: Vec<&Node> = want.nodes.iter().filter(leaving).collect();
    remove(want.cluster, &leaving, seen).unwrap_or(Step::Settle(Ok(())))
}

pub(super) fn has_ready_master(nodes: &[Node]) -> bool {
    nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready)
}

/// Whether the Node object was removed, so that the node cannot return.
pub(super) fn is_removed(c: &Cluster, tasks: &[Task], n: &Node) -> bool {
    tasks.iter().any(|t| is_removal(c, t, n))
}

fn is_removal(c: &Cluster, t: &Task, n: &Node) -> bool {
    t.kind == TaskKind::Remove && t.generation == c.generation && t.node == n.name
}

pub(super) fn task_log(t: &Task) -> &str {
    let log = t.log.trim().trim_end_matches('.');
    if log.is_empty() { "no output" } else { log }
}

/// Removes the Node objects of nodes without a server; `None` when they are
/// removed.
pub(super) fn remove(c: &Cluster, gone: &[&Node], seen: Observed<'_>) -> Option<Step> {
    let now = seen.now;
    let (mut due, mut waiting, mut failed) = (Vec::new(), Vec::new(), None);
    for n in gone {
        let of_node = |t: &&Task| is_removal(c, t, n);
        let tries: Vec<&Task> = seen.tasks.iter().filter(of_node).collect();
        let Some(last) = tries.iter().max_by_key(|t| t.created_at) else {
            due.push(n.name.clone());
            continue;
        };
        // The API of a single master may be unavailable for almost a minute.
        let next = last.created_at + REMOVE_LIMIT;
        match last.status {
            TaskStatus::Done => {}
            TaskStatus::Pending if last.deadline > now => {
                waiting.push((last.deadline, n.name.as_str()));
            }
            _ if tries.len() >= REMOVE_TRIES => failed = Some(*last),
            _ if next > now => waiting.push((next, n.name.as_str())),
            _ => due.push(n.name.clone()),
        }
    }
    if !due.is_empty() {
        return Some(Step::RemoveNodes(due));
    }
    if let Some(until) = waiting.iter().map(|(at, _)| *at).min() {
        let names: Vec<&str> = waiting.iter().map(|(_, name)| *name).collect();
        let names = names.join(", ");
        return Some(Step::WaitUntil(
            until,
            format!("Waiting for a master to remove {names} from the cluster."),
        ));
    }
    failed.map(|t| {
        Step::Settle(Err(format!(
            "Node {}: step remove failed: {}. Its server is gone, but its Node object may still \
             be there: resize again to have it removed.",
            t.node,
            task_log(t)
        )))
    })
}
