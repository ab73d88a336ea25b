//! Which task a manager gets next. It is taken in the database, so that of
//! several managers, at several servers, one does it.

use kernel::{Error, Result, clock};
use nodewire::{Task as WireTask, TaskKind};

use super::feed::View;
use super::kube;
use super::ops::Who;
use crate::ClustersDeps;
use crate::cluster::heal;
use crate::coe::Coe;
use crate::coe::kubernetes::drain_seconds;
use crate::node::{self, NodeStatus, Task};

/// Above the deadline of a task, before another manager may take it.
const GRACE: i64 = 5_000_000;

/// Takes the next task for this manager, besides those that it has already;
/// workers have none.
pub(crate) async fn next_task(
    d: &ClustersDeps,
    who: &Who,
    view: &View,
    has: &[&str],
) -> Result<Option<WireTask>> {
    let status = view.nodes.get(&who.node.id).map(|n| n.status);
    if !who.node.is_master || status.is_none_or(|s| s == NodeStatus::Leaving) {
        return Ok(None);
    }
    let now = clock::now_micros();
    for t in view.tasks.iter().filter(|t| t.pending(now)) {
        let own = t.node == who.node.name;
        // A certificate is the node's own business; leaving is for others.
        if own != (t.kind == "reload-ca") || has.contains(&t.id.as_str()) {
            continue;
        }
        let mine = t.taken_by.as_deref() == Some(who.node.name.as_str());
        if t.taken_until > now && !mine {
            continue;
        }
        // A drain has failed: the reconciler is about to take the rest back.
        let failed = |o: &Task| o.kind == "drain" && o.status == "failed";
        if t.kind == "drain" && view.tasks.iter().any(failed) {
            continue;
        }
        let Some(kind) = kind(t, view)? else {
            continue;
        };
        let until = t.deadline + GRACE;
        if !mine || t.taken_until != until {
            let name = &who.node.name;
            let taken = db::write!(d.db, |tx| node::table::take(tx, t, name, until).await)?;
            if !taken {
                continue;
            }
        }
        return Ok(Some(WireTask {
            id: t.id.clone(),
            kind,
            deadline: u32::try_from(seconds_for(who, t, now)?).ok(),
        }));
    }
    Ok(None)
}

/// How long an agent may take. The nodes of a Kubernetes cluster that leave
/// together are drained one after the other, each with the whole time.
fn seconds_for(who: &Who, t: &Task, now: i64) -> Result<i64> {
    let left = (t.deadline - now) / 1_000_000;
    if t.kind == "drain" && who.cluster.engine()? == Coe::Kubernetes {
        return Ok(left.min(drain_seconds(&who.cluster.labels)));
    }
    Ok(left)
}

/// `None`: nobody has to do it, or a newer server wrote it.
fn kind(t: &Task, view: &View) -> Result<Option<TaskKind>> {
    let node = t.node.clone();
    if [heal::ADD, heal::PROMOTE].contains(&t.kind.as_str()) {
        let ranges = view.networks.as_ref();
        let ranges = ranges.ok_or_else(|| Error::internal("a swarm has no etcd"))?;
        // A node that has not told its address yet is waited for.
        let Some((address, lost)) = kube::etcd_addresses(view.nodes.values(), ranges, &node) else {
            return Ok(None);
        };
        // A task that comes late finds a node that is back: it stays.
        let late = !lost.contains(&address);
        return Ok(match t.kind.as_str() {
            heal::ADD if late => None,
            heal::ADD => Some(TaskKind::AddMember { address, lost }),
            _ => Some(TaskKind::PromoteMember { address }),
        });
    }
    let others = view
        .tasks
        .iter()
        .filter(|o| o.kind == "drain" && o.status == "pending" && o.id != t.id)
        .map(|o| o.node.clone());
    Ok(Some(match t.kind.as_str() {
        "drain" => TaskKind::Drain {
            node,
            others: others.collect(),
        },
        "remove" => TaskKind::Remove { node },
        "activate" => TaskKind::Activate { node },
        "promote" => TaskKind::Promote { node },
        "reload-ca" => TaskKind::ReloadCa,
        _ => return Ok(None),
    }))
}
