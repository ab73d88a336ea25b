//! Rebuilds lost nodes at the start of a resize: each gets an empty server with
//! the same name, index and address. A running master replaces the etcd member
//! of a lost master. Without a majority of running masters nothing is changed.
//!
//! ```text
//! lost ── Node object removed ── member replaced ── server rebuilt ── voter ── ready
//!                               (several masters)                  (masters)
//! ```

use super::{Desired, Observed, Step, objects};
use crate::NodeId;
use crate::cluster::model::Cluster;
use crate::coe::Coe;
use crate::node::{Node, NodeStatus, Task, TaskKind, TaskStatus};
use std::time::Duration;

/// Resync interval for missed events.
const RESYNC_INTERVAL: Duration = Duration::from_secs(5);

/// The next step for lost nodes; `None` if there are none.
pub(super) fn decide(want: Desired<'_>, seen: Observed<'_>) -> Option<Step> {
    let c = want.cluster;
    let members = want.nodes.iter().filter(|n| n.status.wanted());
    let back: Vec<&Node> = members
        .filter(|n| n.status == NodeStatus::Lost || n.fresh_sealed.is_some())
        .filter(|n| n.status != NodeStatus::Ready && n.generation <= c.sent_generation)
        .collect();
    if back.is_empty() {
        return None;
    }
    if let Some(n) = back.iter().find(|n| n.status == NodeStatus::Failed) {
        let cause = n.cause(Coe::Kubernetes).unwrap_or_default();
        return Some(Step::Settle(Err(cause)));
    }
    let until = c.updated_at.unwrap_or(c.created_at) + c.token_lifetime();
    if until <= seen.now {
        let names = names(&back);
        return Some(Step::Settle(Err(format!(
            "Lost nodes were not rebuilt in time: {names}. Resize again to retry."
        ))));
    }
    let mut wait = format!("Waiting for {} to be rebuilt.", names(&back));
    let lost = || {
        back.iter()
            .filter(|n| n.status == NodeStatus::Lost)
            .copied()
    };
    let listed: Vec<&Node> = lost().filter(|n| !n.is_balancer).collect();
    if objects::has_ready_master(want.nodes)
        && let Some(step) = objects::remove(c, &listed, seen)
    {
        return Some(step);
    }
    let mut ready: Vec<NodeId> = lost()
        .filter(|n| !n.is_master)
        .map(|n| n.id.clone())
        .collect();
    // One after the other, because etcd allows one member without a vote.
    if let Some(n) = back.iter().find(|n| n.is_master) {
        match member_of(c, n, seen) {
            Member::Change(step) => return Some(step),
            Member::Replaced => ready.push(n.id.clone()),
            Member::Awaited => {
                wait = format!("Waiting for a master to replace {} in etcd.", n.name);
            }
            Member::Settled => {}
        }
    }
    Some(if ready.is_empty() {
        Step::WaitUntil(until.min(seen.now + RESYNC_INTERVAL), wait)
    } else {
        Step::Replace(ready)
    })
}

/// The etcd member of a master that is rebuilt.
enum Member {
    /// A task has to be created, or has failed.
    Change(Step),
    /// The lost member is replaced by one without a vote.
    Replaced,
    /// A master is replacing it.
    Awaited,
    /// There is nothing to do for it now.
    Settled,
}

fn member_of(c: &Cluster, n: &Node, seen: Observed<'_>) -> Member {
    let kind = if n.status == NodeStatus::Lost {
        TaskKind::AddMember
    } else if n.session_hash.is_some() {
        TaskKind::PromoteMember
    } else {
        return Member::Settled;
    };
    let of_node = |t: &&Task| t.kind == kind && t.node == n.name && t.generation == c.generation;
    let Some(t) = seen.tasks.iter().find(of_node) else {
        return Member::Change(Step::ChangeMember(kind, n.name.clone()));
    };
    match t.status {
        TaskStatus::Done if kind == TaskKind::AddMember => Member::Replaced,
        TaskStatus::Done => Member::Settled,
        TaskStatus::Pending if t.pending(seen.now) => {
            if kind == TaskKind::AddMember {
                Member::Awaited
            } else {
                Member::Settled
            }
        }
        TaskStatus::Pending | TaskStatus::Failed => {
            let reason = if t.log.is_empty() {
                "no master has answered"
            } else {
                t.log.trim_end_matches('.')
            };
            Member::Change(Step::Settle(Err(format!(
                "Node {}: step {} failed: {reason}. Resize again to try once more.",
                t.node,
                t.kind.as_stored()
            ))))
        }
    }
}

fn names(nodes: &[&Node]) -> String {
    let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
    names.join(", ")
}
