//! How nodes leave a Kubernetes cluster: drained first, their servers
//! removed, then their Node objects; or not at all.

use db::{Fenced, Lease};
use kernel::{Result, clock};
use orchestration::face::{Stack, Status};

use super::model::Cluster;
use super::plan::{Move, follow};
use super::resize::REMOVE_SECONDS;
use super::{KIND, heal, rollback, table};
use crate::ClustersDeps;
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup::{self, WORKER};
use crate::notify::{self, Outcome};

/// An agent that gives a drain up at its deadline needs so long to say why,
/// microseconds.
const LATE: i64 = 15_000_000;
/// How often the removal of a Node object is asked for.
const REMOVE_TRIES: usize = 5;
/// A master gets so long to let a node take work again, seconds.
const ACTIVATE_SECONDS: i64 = 600;

/// The next step of a resize. Pure.
pub(crate) fn decide(
    c: &Cluster,
    nodes: &[Node],
    tasks: &[Task],
    stack: Option<&Stack>,
    now: i64,
) -> Move {
    if let Some(step) = heal::decide(c, nodes, tasks, now) {
        return step;
    }
    if let Some(step) = drained(c, tasks, stack, now) {
        return step;
    }
    if c.sent_generation < c.generation && stack.is_some() {
        return Move::UpdateStack;
    }
    match follow(stack) {
        Move::Settle(Ok(())) => off_the_list(c, nodes, tasks, now),
        other => other,
    }
}

/// `None` once every drain that the stack waits for has succeeded.
fn drained(c: &Cluster, tasks: &[Task], stack: Option<&Stack>, now: i64) -> Option<Move> {
    let drains: Vec<&Task> = tasks.iter().filter(|t| of_this(c, t)).collect();
    let late = |t: &&&Task| t.status == "pending" && t.deadline + LATE <= now;
    let fault = match drains.iter().find(|t| t.status == "failed") {
        Some(t) => Some(format!("Node {}: step drain failed: {}", t.node, said(t))),
        None => drains
            .iter()
            .find(late)
            .map(|t| format!("Node {}: step drain failed: no master has answered", t.node)),
    };
    if let Some(fault) = fault {
        // What the stack was told before has to end first.
        if stack.is_some_and(|s| s.status == Status::InProgress) {
            return Some(Move::Wait(None));
        }
        return Some(Move::Undo(format!(
            "{fault}. Nothing was removed. Give the pods of this node room elsewhere or change \
             their PodDisruptionBudget, then resize again."
        )));
    }
    let waiting: Vec<&&Task> = drains.iter().filter(|t| t.status == "pending").collect();
    let until = waiting.iter().map(|t| t.deadline + LATE).min()?;
    let names: Vec<&str> = waiting.iter().map(|t| t.node.as_str()).collect();
    Some(Move::WaitUntil(
        until,
        format!("Waiting for a master to drain {}.", names.join(", ")),
    ))
}

/// A drain of what the stack has not been told to remove.
fn of_this(c: &Cluster, t: &Task) -> bool {
    t.kind == "drain" && t.generation > c.sent_generation && t.generation <= c.generation
}

/// Its cluster has forgotten it: it cannot come back.
fn has_left(c: &Cluster, tasks: &[Task], n: &Node) -> bool {
    let forgotten = |t: &Task| t.kind == "remove" && t.generation == c.generation;
    tasks.iter().any(|t| forgotten(t) && t.node == n.name)
}

fn said(t: &Task) -> &str {
    let log = t.log.trim().trim_end_matches('.');
    if log.is_empty() { "no output" } else { log }
}

/// The servers are gone; a living kubelet would have registered again.
fn off_the_list(c: &Cluster, nodes: &[Node], tasks: &[Task], now: i64) -> Move {
    let able = nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    if !able {
        // Nobody is there to tell, nor a list that anybody could read.
        return Move::Settle(Ok(()));
    }
    // Who has never said hello has no Node object.
    let leaving = |n: &&Node| n.status == NodeStatus::Leaving && n.session_hash.is_some();
    let leaving: Vec<&Node> = nodes.iter().filter(leaving).collect();
    unlist(c, &leaving, tasks, now).unwrap_or(Move::Settle(Ok(())))
}

/// Has the masters remove the Node objects of nodes without a server; `None`
/// once they are gone.
pub(crate) fn unlist(c: &Cluster, gone: &[&Node], tasks: &[Task], now: i64) -> Option<Move> {
    let (mut due, mut waiting, mut failed) = (Vec::new(), Vec::new(), None);
    for n in gone {
        let of_node =
            |t: &&Task| t.kind == "remove" && t.generation == c.generation && t.node == n.name;
        let tries: Vec<&Task> = tasks.iter().filter(of_node).collect();
        let Some(last) = tries.iter().max_by_key(|t| t.created_at) else {
            due.push(n.name.clone());
            continue;
        };
        // The API of a lone master may be away for most of a minute.
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
        return Some(Move::TakeOff(due));
    }
    if let Some(until) = waiting.iter().map(|(at, _)| *at).min() {
        let names: Vec<&str> = waiting.iter().map(|(_, name)| *name).collect();
        let names = names.join(", ");
        return Some(Move::WaitUntil(
            until,
            format!("Waiting for a master to take {names} off the list of nodes."),
        ));
    }
    failed.map(|t| {
        Move::Settle(Err(format!(
            "Node {}: step remove failed: {}. Its server is gone, but its Node object may still \
             be there: resize again to have it removed.",
            t.node,
            said(t)
        )))
    })
}

/// Has the masters remove the Node objects of these nodes.
pub(crate) async fn take_off(
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

/// Ends a resize that the stack has not heard of as if it had not begun: those
/// that were to leave stay and take work again, those that were to come are
/// forgotten. Who leaves undrained stays only where a rollback was asked for.
pub(crate) async fn undo(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    tasks: &[Task],
    why: &str,
) -> Result<()> {
    db::fenced!(d.db, lease, |tx| {
        let row = table::lock(tx, &c.uuid).await?;
        if row.is_none_or(|row| row.generation != c.generation) {
            // Another operation has started: it will end in its own way.
            return Ok(());
        }
        take_back(tx, c, tasks, why).await
    })
}

async fn take_back(tx: &mut Fenced, c: &Cluster, tasks: &[Task], why: &str) -> Result<()> {
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let mut nodes = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let mut touched = Vec::new();
    // Who is drained first has the others take no more pods.
    let begun = tasks.iter().any(|t| of_this(c, t) && t.taken_by.is_some());
    for n in &mut nodes {
        let group = groups.iter_mut().find(|g| g.name == n.nodegroup);
        if n.generation > c.sent_generation {
            node::table::forget(tx, &n.id).await?;
            n.status = NodeStatus::Removed;
            if let Some(g) = group {
                g.next_index -= 1;
            }
            continue;
        }
        let drained = tasks.iter().any(|t| of_this(c, t) && t.node == n.name);
        let undrained = rollback::asked(c) && n.status == NodeStatus::Leaving;
        if !drained && !undrained || has_left(c, tasks, n) {
            continue;
        }
        n.status = if drained || n.signal.as_deref() == Some("SUCCESS") {
            NodeStatus::Ready
        } else {
            NodeStatus::Failed
        };
        node::table::conclude(tx, n).await?;
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
    (after.status, after.status_reason) = rollback::undone(c, workers, why);
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
    let told = if after.failed() {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    notify::push(tx, None, "update", told, &after, &groups).await?;
    // Whoever was told that a node leaves looks again.
    tx.wake(KIND, &c.uuid);
    Ok(())
}
