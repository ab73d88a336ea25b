//! Cancels a change of the nodes that was not sent to the stack: leaving nodes
//! stay and are uncordoned, new nodes are withdrawn. A leaving node without a
//! drain stays only if a rollback was requested.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::Members;
use super::status::{self, Progress};
use super::{NodeStep, drains, is_rollback_requested, objects};
use crate::cluster::model::{Cluster, Intent};
use crate::node::{Node, NodeStatus, Task};
use crate::nodegroup::Group;
use crate::status::Status;

/// The end of an operation that is cancelled.
pub(crate) struct Cancellation {
    pub(crate) steps: Vec<NodeStep>,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    /// Names of the groups that a failure concerns.
    pub(crate) concerned: BTreeSet<String>,
}

/// Plans the cancellation. `sizes`: the groups and sizes that a requested
/// rollback returns to; `why`: the failure.
pub(crate) fn cancel(
    before: Members<'_>,
    tasks: &[Task],
    sizes: Option<&BTreeMap<String, i64>>,
    why: &str,
) -> Cancellation {
    let c = before.cluster;
    let is_drained = |n: &Node| {
        tasks
            .iter()
            .any(|t| drains::is_current(c, t) && t.node == n.name)
    };
    // The node that is drained first also cordons the others.
    let begun = tasks
        .iter()
        .any(|t| drains::is_current(c, t) && t.taken_by.is_some());
    let (mut steps, mut concerned) = (Vec::new(), BTreeSet::new());
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for n in before.nodes {
        if n.generation > c.sent_generation {
            steps.push(NodeStep::DeleteUnsent { node: n.id.clone() });
            continue;
        }
        let drained = is_drained(n);
        let undrained = is_rollback_requested(c) && n.status == NodeStatus::Leaving;
        let stays = (drained || undrained) && !objects::is_removed(c, tasks, n);
        if stays {
            steps.push(NodeStep::CancelRemoval {
                node: n.id.clone(),
                was_ready: drained || n.signal.as_deref() == Some("SUCCESS"),
                uncordon: drained && begun,
            });
            concerned.insert(n.nodegroup.clone());
        }
        if stays || n.status.wanted() {
            *left.entry(&n.nodegroup).or_default() += 1;
        }
    }
    for g in before.groups {
        steps.push(NodeStep::SetSize {
            group: g.name.clone(),
            count: left.get(g.name.as_str()).copied().unwrap_or(0),
        });
    }
    if concerned.is_empty() {
        let workers = before.groups.iter().filter(|g| !g.is_master());
        concerned.extend(workers.map(|g: &Group| g.name.clone()));
    }
    let (status, reason) = outcome(c, &left, sizes, why);
    Cancellation {
        steps,
        status,
        reason,
        concerned,
    }
}

/// Status and reason of the cluster. A requested rollback is complete if the
/// groups have their sizes again.
fn outcome(
    c: &Cluster,
    left: &BTreeMap<&str, i64>,
    sizes: Option<&BTreeMap<String, i64>>,
    why: &str,
) -> (Status, Option<String>) {
    let Some(sizes) = sizes.filter(|_| is_rollback_requested(c)) else {
        return status::of_cluster(c, Progress::Ended(Err(why)));
    };
    let back = Cluster {
        intent: Intent::Rollback,
        cause: Some(why.to_owned()),
        ..c.clone()
    };
    let of_group = |group: &String| left.get(group.as_str()).copied().unwrap_or(0);
    if sizes.iter().all(|(group, count)| of_group(group) == *count) {
        return status::of_cluster(&back, Progress::Ended(Ok(())));
    }
    let (there, wanted): (i64, i64) = sizes.iter().fold((0, 0), |(a, b), (group, count)| {
        (a + of_group(group), b + count)
    });
    let why = format!("{there} of {wanted} workers are left");
    status::of_cluster(&back, Progress::Ended(Err(&why)))
}
