//! Assigns the next task to a manager. A task is claimed in the database, so
//! that only one of several managers, possibly connected to different servers,
//! runs it.

use kernel::{Error, Result, Timestamp, clock};
use nodewire::{Task as WireTask, TaskKind as WireKind};
use std::time::Duration;

use super::caller::NodeSession;
use super::feed::View;
use super::kube;
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::coe::kubernetes::drain_limit;
use crate::node::{self, NodeStatus, Task, TaskKind, TaskStatus};

/// Time added to the deadline of a task before another manager may claim it.
const CLAIM_GRACE: Duration = Duration::from_secs(5);

/// Claims the next task for this manager, except the tasks in `has`. Workers
/// get no tasks.
pub(crate) async fn next_task(
    d: &ClustersDeps,
    caller: &NodeSession,
    view: &View,
    has: &[&str],
) -> Result<Option<WireTask>> {
    let status = view.nodes.get(&caller.node.id).map(|n| n.status);
    if !caller.node.is_master || status.is_none_or(|s| s == NodeStatus::Leaving) {
        return Ok(None);
    }
    let now = clock::now();
    for t in view.tasks.iter().filter(|t| t.pending(now)) {
        let own = t.node == caller.node.name;
        // A node reloads only its own certificate, and another node has to
        // remove it.
        if own != (t.kind == TaskKind::ReloadCa) || has.contains(&t.id.as_str()) {
            continue;
        }
        let mine = t.taken_by.as_deref() == Some(caller.node.name.as_str());
        if t.taken_until > now && !mine {
            continue;
        }
        // A drain has failed: the reconciler is about to cancel the remaining
        // ones.
        let failed = |o: &Task| o.kind == TaskKind::Drain && o.status == TaskStatus::Failed;
        if t.kind == TaskKind::Drain && view.tasks.iter().any(failed) {
            continue;
        }
        let Some(kind) = kind(t, view)? else {
            continue;
        };
        let until = t.deadline + CLAIM_GRACE;
        if !mine || t.taken_until != until {
            let name = &caller.node.name;
            let taken = db::write!(d.db, |tx| node::table::claim_task(tx, t, name, until).await)?;
            if !taken {
                continue;
            }
        }
        return Ok(Some(WireTask {
            id: t.id.to_string(),
            kind,
            deadline: u32::try_from(time_limit(caller, t, now)?.as_secs()).ok(),
        }));
    }
    Ok(None)
}

/// Time limit that the agent gets for a task. Kubernetes nodes that leave
/// together are drained one after the other, and each drain may take its full
/// time.
fn time_limit(caller: &NodeSession, t: &Task, now: Timestamp) -> Result<Duration> {
    let left = t.deadline.since(now);
    if t.kind == TaskKind::Drain && caller.cluster.engine()? == Coe::Kubernetes {
        return Ok(left.min(drain_limit(&caller.cluster.labels)));
    }
    Ok(left)
}

/// Returns `None` if the task needs no action yet.
fn kind(t: &Task, view: &View) -> Result<Option<WireKind>> {
    let node = t.node.clone();
    Ok(Some(match t.kind {
        TaskKind::AddMember | TaskKind::PromoteMember => return etcd_change(t, view),
        TaskKind::Drain => {
            let others = view.tasks.iter().filter(|o| {
                o.kind == TaskKind::Drain && o.status == TaskStatus::Pending && o.id != t.id
            });
            WireKind::Drain {
                node,
                others: others.map(|o| o.node.clone()).collect(),
            }
        }
        TaskKind::Remove => WireKind::Remove { node },
        TaskKind::Activate => WireKind::Activate { node },
        TaskKind::Promote => WireKind::Promote { node },
        TaskKind::ReloadCa => WireKind::ReloadCa,
    }))
}

/// A change of the members of etcd.
fn etcd_change(t: &Task, view: &View) -> Result<Option<WireKind>> {
    let ranges = view.networks.as_ref();
    let ranges = ranges.ok_or_else(|| Error::internal("a swarm has no etcd"))?;
    // Wait until the node has reported its address.
    let Some((address, lost)) = kube::etcd_addresses(view.nodes.values(), ranges, &t.node) else {
        return Ok(None);
    };
    // If the node is ready again by the time of this task, it stays.
    let late = !lost.contains(&address);
    Ok(match t.kind {
        TaskKind::AddMember if late => None,
        TaskKind::AddMember => Some(WireKind::AddMember { address, lost }),
        _ => Some(WireKind::PromoteMember { address }),
    })
}
