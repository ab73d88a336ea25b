//! Removal of nodes from a Kubernetes cluster: drain, removal of the servers,
//! removal of the Node objects. A failed drain cancels the removal.

use db::{Fenced, Lease};
use kernel::{Result, clock};
use orchestration::api::{Stack, Status};

use super::model::Cluster;
use super::plan::{PlanStep, follow};
use super::resize::REMOVE_SECONDS;
use super::{KIND, heal, rollback, table};
use crate::ClustersDeps;
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup::{self, WORKER};
use crate::notify::{self, Outcome};

/// Time that an agent gets to report a drain that it gave up at its deadline,
/// microseconds.
const LATE: i64 = 15_000_000;
/// Maximum number of attempts to remove a Node object.
const REMOVE_TRIES: usize = 5;
/// Time limit of a master for uncordoning a node, seconds.
const ACTIVATE_SECONDS: i64 = 600;

/// The next step of a resize. Pure.
pub(crate) fn decide(
    c: &Cluster,
    nodes: &[Node],
    tasks: &[Task],
    stack: Option<&Stack>,
    now: i64,
) -> PlanStep {
    if let Some(step) = heal::decide(c, nodes, tasks, now) {
        return step;
    }
    if let Some(step) = plan_drains(c, tasks, stack, now) {
        return step;
    }
    if c.sent_generation < c.generation && stack.is_some() {
        return PlanStep::UpdateStack;
    }
    match follow(stack) {
        PlanStep::Finish(Ok(())) => plan_node_objects(c, nodes, tasks, now),
        other => other,
    }
}

/// Returns `None` when every drain that the stack waits for has succeeded.
fn plan_drains(c: &Cluster, tasks: &[Task], stack: Option<&Stack>, now: i64) -> Option<PlanStep> {
    let drains: Vec<&Task> = tasks.iter().filter(|t| is_current_drain(c, t)).collect();
    let late = |t: &&&Task| t.status == "pending" && t.deadline + LATE <= now;
    let fault = match drains.iter().find(|t| t.status == "failed") {
        Some(t) => Some(format!(
            "Node {}: step drain failed: {}",
            t.node,
            task_log(t)
        )),
        None => drains
            .iter()
            .find(late)
            .map(|t| format!("Node {}: step drain failed: no master has answered", t.node)),
    };
    if let Some(fault) = fault {
        // The previous action of the stack has to end first.
        if stack.is_some_and(|s| s.status == Status::InProgress) {
            return Some(PlanStep::Wait(None));
        }
        return Some(PlanStep::CancelResize(format!(
            "{fault}. Nothing was removed. Make room for the pods on other nodes or change \
             their PodDisruptionBudget, then resize again."
        )));
    }
    let waiting: Vec<&&Task> = drains.iter().filter(|t| t.status == "pending").collect();
    let until = waiting.iter().map(|t| t.deadline + LATE).min()?;
    let names: Vec<&str> = waiting.iter().map(|t| t.node.as_str()).collect();
    Some(PlanStep::WaitUntil(
        until,
        format!("Waiting for a master to drain {}.", names.join(", ")),
    ))
}

/// Whether the task is a drain whose removal was not sent to the stack yet.
fn is_current_drain(c: &Cluster, t: &Task) -> bool {
    t.kind == "drain" && t.generation > c.sent_generation && t.generation <= c.generation
}

/// Whether the Node object was removed, so that the node cannot return.
fn is_forgotten_by_cluster(c: &Cluster, tasks: &[Task], n: &Node) -> bool {
    let forgotten = |t: &Task| t.kind == "remove" && t.generation == c.generation;
    tasks.iter().any(|t| forgotten(t) && t.node == n.name)
}

fn task_log(t: &Task) -> &str {
    let log = t.log.trim().trim_end_matches('.');
    if log.is_empty() { "no output" } else { log }
}

/// Plans the removal of Node objects after the servers are gone; a running
/// kubelet would register again.
fn plan_node_objects(c: &Cluster, nodes: &[Node], tasks: &[Task], now: i64) -> PlanStep {
    let able = nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    if !able {
        // Without a ready master there is no API to remove the Node objects
        // from.
        return PlanStep::Finish(Ok(()));
    }
    // A node that never registered has no Node object.
    let leaving = |n: &&Node| n.status == NodeStatus::Leaving && n.session_hash.is_some();
    let leaving: Vec<&Node> = nodes.iter().filter(leaving).collect();
    plan_node_object_removal(c, &leaving, tasks, now).unwrap_or(PlanStep::Finish(Ok(())))
}

/// Plans the removal of Node objects of nodes without a server; `None` when
/// they are removed.
pub(crate) fn plan_node_object_removal(
    c: &Cluster,
    gone: &[&Node],
    tasks: &[Task],
    now: i64,
) -> Option<PlanStep> {
    let (mut due, mut waiting, mut failed) = (Vec::new(), Vec::new(), None);
    for n in gone {
        let of_node =
            |t: &&Task| t.kind == "remove" && t.generation == c.generation && t.node == n.name;
        let tries: Vec<&Task> = tasks.iter().filter(of_node).collect();
        let Some(last) = tries.iter().max_by_key(|t| t.created_at) else {
            due.push(n.name.clone());
            continue;
        };
        // The API of a single master may be unavailable for almost a minute.
        let next = last.created_at + REMOVE_SECONDS * 1_000_000;
        match last.status.as_str() {
            "done" => {}
            "pending" if last.deadline > now => waiting.push((last.deadline, n.name.as_str())),
            _ if tries.len() >= REMOVE_TRIES => failed = Some(*last),
            _ if next > now => waiting.push((next, n.name.as_str())),
            _ => due.push(n.name.clone()),
        }
    }
    if !due.is_empty() {
        return Some(PlanStep::RemoveNodeObjects(due));
    }
    if let Some(until) = waiting.iter().map(|(at, _)| *at).min() {
        let names: Vec<&str> = waiting.iter().map(|(_, name)| *name).collect();
        let names = names.join(", ");
        return Some(PlanStep::WaitUntil(
            until,
            format!("Waiting for a master to remove {names} from the cluster."),
        ));
    }
    failed.map(|t| {
        PlanStep::Finish(Err(format!(
            "Node {}: step remove failed: {}. Its server is gone, but its Node object may still \
             be there: resize again to have it removed.",
            t.node,
            task_log(t)
        )))
    })
}

/// Creates tasks in which the masters remove these Node objects.
pub(crate) async fn create_removal_tasks(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    names: &[String],
) -> Result<()> {
    let seconds = REMOVE_SECONDS.saturating_mul(i64::try_from(names.len()).unwrap_or(1));
    db::fenced!(d.db, lease, |tx| {
        for name in names {
            let mut task = Task::new(&c.uuid, "remove", name, clock::now_micros(), seconds);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        Ok(())
    })
}

/// Cancels a resize that was not sent to the stack: leaving nodes stay and are
/// uncordoned, new nodes are deleted. A leaving node without a drain stays only
/// if a rollback was requested.
pub(crate) async fn cancel_resize(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    tasks: &[Task],
    why: &str,
) -> Result<()> {
    db::fenced!(d.db, lease, |tx| {
        let row = table::lock(tx, &c.uuid).await?;
        if row.is_none_or(|row| row.generation != c.generation) {
            // A newer operation has started and will end separately.
            return Ok(());
        }
        restore_nodes(tx, c, tasks, why).await
    })
}

async fn restore_nodes(tx: &mut Fenced, c: &Cluster, tasks: &[Task], why: &str) -> Result<()> {
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let mut nodes = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let mut touched = Vec::new();
    // The node that is drained first also cordons the others.
    let begun = tasks
        .iter()
        .any(|t| is_current_drain(c, t) && t.taken_by.is_some());
    for n in &mut nodes {
        let group = groups.iter_mut().find(|g| g.name == n.nodegroup);
        if n.generation > c.sent_generation {
            node::table::delete_unsent(tx, &n.id).await?;
            n.status = NodeStatus::Removed;
            if let Some(g) = group {
                g.next_index -= 1;
            }
            continue;
        }
        let drained = tasks
            .iter()
            .any(|t| is_current_drain(c, t) && t.node == n.name);
        let undrained = rollback::is_requested(c) && n.status == NodeStatus::Leaving;
        if !drained && !undrained || is_forgotten_by_cluster(c, tasks, n) {
            continue;
        }
        n.status = if drained || n.signal.as_deref() == Some("SUCCESS") {
            NodeStatus::Ready
        } else {
            NodeStatus::Failed
        };
        node::table::set_observed_status(tx, n).await?;
        touched.push(n.nodegroup.clone());
        if drained && begun {
            let now = clock::now_micros();
            let mut task = Task::new(&c.uuid, "activate", &n.name, now, ACTIVATE_SECONDS);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
    }
    node::table::drop_drains(tx, &c.uuid).await?;
    let mut workers = 0;
    for g in &mut groups {
        let left = nodes
            .iter()
            .filter(|n| n.nodegroup == g.name && n.status.wanted());
        g.node_count = i64::try_from(left.count()).unwrap_or(g.node_count);
        nodegroup::table::set_size(tx, g).await?;
        if g.name == WORKER {
            workers = g.node_count;
        }
    }
    let mut after = c.clone();
    (after.status, after.status_reason) = rollback::cancelled_outcome(c, workers, why);
    table::finish(tx, c, &after.status, after.status_reason.as_deref()).await?;
    if touched.is_empty() {
        touched.push(WORKER.to_owned());
    }
    let whole = after.status.replace("_FAILED", "_COMPLETE");
    for g in &groups {
        let failed = after.failed() && touched.contains(&g.name);
        let status = if failed { &after.status } else { &whole };
        nodegroup::table::finish(tx, g, status, failed.then_some(why)).await?;
    }
    let notified_outcome = if after.failed() {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    notify::push(tx, None, "update", notified_outcome, &after, &groups).await?;
    // The mark notifies agents that know about the leaving nodes.
    tx.wake(KIND, &c.uuid);
    Ok(())
}
