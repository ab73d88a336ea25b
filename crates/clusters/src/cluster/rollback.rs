//! The way back from an update that fails, for those who asked for it: who
//! came leaves again, drained like anybody else, and workers come in place of
//! those that had gone. The stack is told by an update: a rollback of its own
//! would remove servers under what runs on them and forget their indices.
//!
//! ```text
//! failure ─┬─ before the stack was told: all is as it was ──────── ROLLBACK_COMPLETE
//!          └─ afterwards: ROLLBACK_IN_PROGRESS ── drains ── stack ── ROLLBACK_COMPLETE
//! ```

use db::{Fenced, Lease};
use kernel::{Error, Result};
use orchestration::face::Stack;

use super::model::{Cluster, Intent};
use super::plan::Move;
use super::{KIND, leave, lost, ops, resize, settle, table};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::kube::{self, Kube};
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup::{self, WORKER};

/// Whether a failure of the operation is followed by the way back. Pure.
pub(super) fn asked(c: &Cluster) -> bool {
    c.intent == Intent::Resize && c.rollback.is_some()
}

/// Turns a failure into the way back where that was asked for. A stack that
/// has vanished leads nowhere. Pure.
pub(super) fn turn(c: &Cluster, stack: Option<&Stack>, step: Move) -> Move {
    match step {
        Move::Settle(Err(why)) if asked(c) && stack.is_some() => Move::GoBack(why),
        step => step,
    }
}

/// Status and reason once what the stack has not heard of is undone, with so
/// many workers. Pure.
pub(super) fn undone(c: &Cluster, workers: i64, why: &str) -> (String, Option<String>) {
    let Some(count) = c.rollback.filter(|_| asked(c)) else {
        return c.ending(&Err(why.to_owned()));
    };
    let back = Cluster {
        intent: Intent::Rollback,
        cause: Some(why.to_owned()),
        ..c.clone()
    };
    if workers == count {
        back.ending(&Ok(()))
    } else {
        back.ending(&Err(format!("{workers} of {count} workers are left")))
    }
}

/// Who leaves again, and how many have to come. What came with the operation
/// goes, but for ready ones in place of those that have gone already. Pure.
pub(crate) fn who<'a>(nodes: &[&'a Node], generation: i64, count: i64) -> (Vec<&'a Node>, i64) {
    let (came, stayed): (Vec<&Node>, Vec<&Node>) = nodes
        .iter()
        .copied()
        .partition(|n| n.generation == generation);
    let mut missing = count - i64::try_from(stayed.len()).unwrap_or(i64::MAX);
    let mut leave = Vec::new();
    for n in came {
        if missing > 0 && n.status == NodeStatus::Ready {
            missing -= 1;
        } else {
            leave.push(n);
        }
    }
    (leave, missing.max(0))
}

/// Takes the way back: one transaction says who leaves and who comes, then it
/// is reconciled as a resize is. Nothing is left to do where the stack has not
/// heard of the update.
///
/// # Errors
/// As the database and compute.
pub(super) async fn go_back(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    tasks: &[Task],
    why: &str,
) -> Result<()> {
    if c.sent_generation < c.generation {
        return leave::undo(d, lease, c, tasks, why).await;
    }
    let coe = c.engine()?;
    let (kube, dead) = match coe {
        Coe::Kubernetes => {
            let kube = kube::table::load(&d.db, &c.uuid).await?;
            (Some(kube), lost::dead(d, c).await?.1)
        }
        Coe::Swarm => (None, Vec::new()),
    };
    let seen = Seen {
        c,
        coe,
        kube,
        dead,
        why,
    };
    db::fenced!(d.db, lease, |tx| turn_back(tx, d, &seen).await)
}

/// What the way back was decided by.
struct Seen<'a> {
    c: &'a Cluster,
    coe: Coe,
    kube: Option<Kube>,
    /// Names of servers that do not run.
    dead: Vec<String>,
    why: &'a str,
}

async fn turn_back(tx: &mut Fenced, d: &ClustersDeps, seen: &Seen<'_>) -> Result<()> {
    let c = seen.c;
    let Some(mut cluster) = table::lock(tx, &c.uuid).await? else {
        return Ok(());
    };
    if cluster.generation != c.generation {
        // Another operation has started: it will end in its own way.
        return Ok(());
    }
    db::mark(tx, KIND, &c.uuid).await?;
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let all = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let (_, cause) = settle::causes(seen.coe, &groups, &all, seen.why);
    let Some(g) = groups.iter_mut().find(|g| g.name == WORKER) else {
        return Err(Error::internal("a cluster without a group of workers"));
    };
    let count = c.rollback.unwrap_or(g.node_count);
    let workers: Vec<&Node> = all
        .iter()
        .filter(|n| n.nodegroup == g.name && n.status.wanted())
        .collect();
    let (leaving, add) = who(&workers, c.generation, count);
    let ranges = resize::ranges(seen.kube.as_ref(), &all, add)?;
    tracing::info!(
        cluster = c.uuid,
        leave = leaving.len(),
        come = add,
        "an update failed and is taken back: {cause}"
    );
    g.node_count = count;
    ops::begin(tx, &mut cluster, Intent::Rollback, Some(&cause)).await?;
    table::set_rollback(tx, &c.uuid, None, Some(&cause)).await?;
    resize::come(tx, d, &cluster, g, add, ranges).await?;
    // Of a drain that failed the agents conclude that no other is wanted.
    node::table::drop_drains(tx, &c.uuid).await?;
    resize::send_off(tx, &cluster, &all, &leaving, &seen.dead).await
}
