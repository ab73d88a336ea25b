//! Rollback of a failed update, if it was requested: new nodes leave again
//! after a drain, and new workers replace those that were removed. The stack is
//! updated instead of rolled back, because a rollback of the stack would remove
//! servers without a drain and lose their indices.
//!
//! ```text
//! failure ─┬─ not sent to the stack yet: nothing to undo ───────── ROLLBACK_COMPLETE
//!          └─ afterwards: ROLLBACK_IN_PROGRESS ── drains ── stack ── ROLLBACK_COMPLETE
//! ```

use db::{Fenced, Lease};
use kernel::{Error, Result};
use orchestration::api::Stack;

use super::model::{Cluster, Intent};
use super::plan::PlanStep;
use super::{KIND, failed_servers, finish, node_removal, ops, resize, table};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::kube::{self, Kube};
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup::{self, WORKER};

/// Whether a failed operation is followed by a rollback. Pure.
pub(super) fn is_requested(c: &Cluster) -> bool {
    c.intent == Intent::Resize && c.rollback.is_some()
}

/// Replaces a failure by a rollback if one was requested. Impossible if the
/// stack no longer exists. Pure.
pub(super) fn divert_to_rollback(c: &Cluster, stack: Option<&Stack>, step: PlanStep) -> PlanStep {
    match step {
        PlanStep::Finish(Err(why)) if is_requested(c) && stack.is_some() => {
            PlanStep::StartRollback(why)
        }
        step => step,
    }
}

/// Status and reason after a change that was not sent to the stack is
/// cancelled, with the resulting number of workers. Pure.
pub(super) fn cancelled_outcome(c: &Cluster, workers: i64, why: &str) -> (String, Option<String>) {
    let Some(count) = c.rollback.filter(|_| is_requested(c)) else {
        return c.final_status(&Err(why.to_owned()));
    };
    let back = Cluster {
        intent: Intent::Rollback,
        cause: Some(why.to_owned()),
        ..c.clone()
    };
    if workers == count {
        back.final_status(&Ok(()))
    } else {
        back.final_status(&Err(format!("{workers} of {count} workers are left")))
    }
}

/// Selects the nodes that leave, and the number of nodes to add. Nodes added by
/// the operation leave, except ready ones that replace removed nodes. Pure.
pub(crate) fn select_nodes<'a>(
    nodes: &[&'a Node],
    generation: i64,
    count: i64,
) -> (Vec<&'a Node>, i64) {
    let (added, kept): (Vec<&Node>, Vec<&Node>) = nodes
        .iter()
        .copied()
        .partition(|n| n.generation == generation);
    let mut missing = count - i64::try_from(kept.len()).unwrap_or(i64::MAX);
    let mut leave = Vec::new();
    for n in added {
        if missing > 0 && n.status == NodeStatus::Ready {
            missing -= 1;
        } else {
            leave.push(n);
        }
    }
    (leave, missing.max(0))
}

/// Starts a rollback: one transaction selects leaving and new nodes, and the
/// reconciler continues as for a resize. If the update was not sent to the
/// stack, nothing else is needed.
///
/// # Errors
/// Fails if the database or compute fails.
pub(super) async fn start_rollback(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    tasks: &[Task],
    why: &str,
) -> Result<()> {
    if c.sent_generation < c.generation {
        return node_removal::cancel_resize(d, lease, c, tasks, why).await;
    }
    let coe = c.engine()?;
    let (kube, dead) = match coe {
        Coe::Kubernetes => {
            let kube = kube::table::load(&d.db, &c.uuid).await?;
            (
                Some(kube),
                failed_servers::unavailable_servers(d, c).await?.1,
            )
        }
        Coe::Swarm => (None, Vec::new()),
    };
    let seen = RollbackInput {
        c,
        coe,
        kube,
        dead,
        why,
    };
    db::fenced!(d.db, lease, |tx| begin_rollback(tx, d, &seen).await)
}

/// Input of the rollback decision.
struct RollbackInput<'a> {
    c: &'a Cluster,
    coe: Coe,
    kube: Option<Kube>,
    /// Names of servers that do not run.
    dead: Vec<String>,
    why: &'a str,
}

async fn begin_rollback(tx: &mut Fenced, d: &ClustersDeps, seen: &RollbackInput<'_>) -> Result<()> {
    let c = seen.c;
    let Some(mut cluster) = table::lock(tx, &c.uuid).await? else {
        return Ok(());
    };
    if cluster.generation != c.generation {
        // A newer operation has started and will end separately.
        return Ok(());
    }
    db::mark(tx, KIND, &c.uuid).await?;
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let all = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let (_, cause) = finish::causes(seen.coe, &groups, &all, seen.why);
    let Some(g) = groups.iter_mut().find(|g| g.name == WORKER) else {
        return Err(Error::internal("a cluster without a group of workers"));
    };
    let count = c.rollback.unwrap_or(g.node_count);
    let workers: Vec<&Node> = all
        .iter()
        .filter(|n| n.nodegroup == g.name && n.status.wanted())
        .collect();
    let (leaving, add) = select_nodes(&workers, c.generation, count);
    let ranges = resize::allocate_pod_ranges(seen.kube.as_ref(), &all, add)?;
    tracing::info!(
        cluster = c.uuid,
        leave = leaving.len(),
        come = add,
        "an update failed and is rolled back: {cause}"
    );
    g.node_count = count;
    ops::start_operation(tx, &mut cluster, Intent::Rollback, Some(&cause)).await?;
    table::set_rollback(tx, &c.uuid, None, Some(&cause)).await?;
    resize::add_nodes(tx, d, &cluster, g, add, ranges).await?;
    // Agents conclude from a failed drain that the other drains are cancelled.
    node::table::drop_drains(tx, &c.uuid).await?;
    resize::mark_nodes_leaving(tx, &cluster, &all, &leaving, &seen.dead).await
}
