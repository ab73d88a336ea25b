//! Nodes whose servers are lost come back, at the head of a resize: the same
//! name, index and address on an empty server. A master's place in etcd is
//! given to its successor by a living master; where no majority lives nothing
//! is touched.
//!
//! ```text
//! lost ── Node object removed ── member replaced ── server rebuilt ── voter ── ready
//!                               (several masters)                  (masters)
//! ```

use std::collections::BTreeMap;

use db::Lease;
use kernel::{Ctx, Result, clock};
use orchestration::face::{StackUpdate, Unhealthy};
use serde_json::{Map, Value};

use super::model::Cluster;
use super::plan::Move;
use super::{KIND, leave, lost};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::coe::hot::{BALANCER, MASTERS, WORKERS};
use crate::node::{self, Node, NodeStatus, Task};
use crate::tokens;

pub(crate) const ADD: &str = "add-member";
pub(crate) const PROMOTE: &str = "promote-member";
/// A living master gets so long for each of the two, seconds: etcd takes no
/// member before its voters were connected for five.
const MEMBER_SECONDS: i64 = 120;
/// The safety net below the events that wake a cluster, microseconds.
const GLANCE: i64 = 5_000_000;

/// The nodes whose servers can be made anew. `gone`: names of servers in
/// error; `dead`: of those that do not run, these among them. Pure.
pub(crate) fn lost<'a>(nodes: &'a [Node], gone: &[String], dead: &[String]) -> Vec<&'a Node> {
    let masters = || nodes.iter().filter(|n| n.is_master && n.status.wanted());
    let living = masters().filter(|n| n.status == NodeStatus::Ready && !dead.contains(&n.name));
    // What etcd holds of the others is all that there is of the cluster.
    let majority = living.count() > masters().count() / 2;
    nodes
        .iter()
        .filter(|n| match n.status {
            NodeStatus::Lost => true,
            NodeStatus::Ready => gone.contains(&n.name),
            // It has not come back the last time. A worker is replaced.
            NodeStatus::Failed => n.is_master || n.is_balancer,
            _ => false,
        })
        .filter(|n| majority || !n.is_master)
        .collect()
}

/// The next step for what is lost; `None`: nothing is. Pure.
pub(crate) fn decide(c: &Cluster, nodes: &[Node], tasks: &[Task], now: i64) -> Option<Move> {
    let members = nodes.iter().filter(|n| n.status.wanted());
    let back: Vec<&Node> = members
        .filter(|n| n.status == NodeStatus::Lost || n.fresh_sealed.is_some())
        .filter(|n| n.status != NodeStatus::Ready && n.generation <= c.sent_generation)
        .collect();
    if back.is_empty() {
        return None;
    }
    if let Some(n) = back.iter().find(|n| n.status == NodeStatus::Failed) {
        let cause = n.cause(Coe::Kubernetes).unwrap_or_default();
        return Some(Move::Settle(Err(cause)));
    }
    let until = c.updated_at.unwrap_or(c.created_at) + tokens::patience(c) * 1_000_000;
    if until <= now {
        let names = names(&back);
        return Some(Move::Settle(Err(format!(
            "Lost nodes did not come back in time: {names}. Resize again to try once more."
        ))));
    }
    let mut wait = format!("Waiting for {} to come back.", names(&back));
    let able = nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    let lost = || {
        back.iter()
            .filter(|n| n.status == NodeStatus::Lost)
            .copied()
    };
    let listed: Vec<&Node> = lost().filter(|n| !n.is_balancer).collect();
    if able && let Some(step) = leave::unlist(c, &listed, tasks, now) {
        return Some(step);
    }
    let mut ready: Vec<String> = lost()
        .filter(|n| !n.is_master)
        .map(|n| n.id.clone())
        .collect();
    // One after the other: etcd has room for one member without a vote.
    if let Some(n) = back.iter().find(|n| n.is_master) {
        let kind = if n.status == NodeStatus::Lost {
            Some(ADD)
        } else {
            n.session_hash.is_some().then_some(PROMOTE)
        };
        let task = kind.and_then(|kind| task(c, tasks, kind, &n.name));
        match (kind, task) {
            (None, _) => {}
            (Some(kind), None) => return Some(Move::Member(kind, n.name.clone())),
            (Some(ADD), Some(t)) if t.status == "done" => ready.push(n.id.clone()),
            (_, Some(t)) if t.status == "failed" || t.status == "pending" && !t.pending(now) => {
                let said = if t.log.is_empty() {
                    "no master has answered"
                } else {
                    t.log.trim_end_matches('.')
                };
                return Some(Move::Settle(Err(format!(
                    "Node {}: step {} failed: {said}. Resize again to try once more.",
                    t.node, t.kind
                ))));
            }
            (Some(ADD), _) => wait = format!("Waiting for a master to replace {} in etcd.", n.name),
            _ => {}
        }
    }
    Some(if ready.is_empty() {
        Move::WaitUntil(until.min(now + GLANCE), wait)
    } else {
        Move::Rebuild(ready)
    })
}

fn names(nodes: &[&Node]) -> String {
    let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
    names.join(", ")
}

fn task<'a>(c: &Cluster, tasks: &'a [Task], kind: &str, node: &str) -> Option<&'a Task> {
    tasks
        .iter()
        .find(|t| t.kind == kind && t.node == node && t.generation == c.generation)
}

/// Has a living master change the members of etcd.
pub(crate) async fn member(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    kind: &str,
    name: &str,
) -> Result<()> {
    let mut tx = d.db.begin().await?;
    tx.fence(lease).await?;
    let mut task = Task::new(&c.uuid, kind, name, clock::now_micros(), MEMBER_SECONDS);
    task.generation = c.generation;
    node::table::insert_task(&mut tx, &task).await?;
    tx.commit().await
}

/// Has the stack rebuild the servers of lost nodes, each with a token of its
/// own. A repeat after a crash finds the tokens, and the stack knows the
/// incidents by them.
pub(crate) async fn rebuild(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    c: &Cluster,
    ids: &[String],
) -> Result<()> {
    let mut lost = Vec::new();
    let mut tx = d.db.begin().await?;
    tx.fence(lease).await?;
    for id in ids {
        let Some(mut n) = node::table::load_tx(&mut tx, id).await? else {
            continue;
        };
        let now = clock::now_micros();
        let armed = n.fresh_sealed.is_some() && n.session_hash.is_none() && n.token_expires > now;
        if !armed {
            tokens::rearm(&d.sealer, c, &mut n)?;
            node::table::rearm(&mut tx, &n).await?;
        }
        lost.push(n);
    }
    tx.commit().await?;
    let (stacks, id) = (&d.orchestration.stacks, &c.stack_id);
    let unhealthy: Vec<Unhealthy> = lost.iter().map(unhealthy).collect();
    stacks
        .mark_unhealthy(ctx, id, &unhealthy, "its server is lost")
        .await?;
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    let update = StackUpdate {
        parameters: token_parameters(d, c, &nodes)?,
        timeout_mins: Some(c.create_timeout).filter(|t| *t > 0),
        disable_rollback: true,
        ..StackUpdate::default()
    };
    stacks.update(ctx, id, update).await?;
    let mut tx = d.db.begin().await?;
    tx.fence(lease).await?;
    for n in &lost {
        if let Some(mut n) = node::table::load_tx(&mut tx, &n.id).await?
            && n.status == NodeStatus::Lost
        {
            n.status = NodeStatus::Waiting;
            node::table::save(&mut tx, &n).await?;
        }
    }
    tx.wake(KIND, &c.uuid);
    tx.commit().await
}

/// A node's resource in the stack of its cluster.
fn unhealthy(n: &Node) -> Unhealthy {
    let incident = n.token_hash.clone();
    let group = if n.is_master { MASTERS } else { WORKERS };
    if n.is_balancer {
        Unhealthy {
            group: None,
            name: BALANCER.into(),
            incident,
        }
    } else {
        Unhealthy {
            group: Some(group.into()),
            name: n.index.to_string(),
            incident,
        }
    }
}

/// The tokens of the nodes that the stack knows. Its sizes stay as they are:
/// what leaves has yet to be drained.
fn token_parameters(
    d: &ClustersDeps,
    c: &Cluster,
    nodes: &[Node],
) -> Result<BTreeMap<String, Value>> {
    let mut out = BTreeMap::new();
    for (word, masters) in [("master", true), ("node", false)] {
        let mut all = Map::new();
        for n in nodes {
            let known = n.generation <= c.sent_generation && n.status != NodeStatus::Removed;
            if known && n.is_master == masters && !n.is_balancer {
                let token = tokens::of_stack(&d.sealer, n)?;
                all.insert(n.index.to_string(), token.into());
            }
        }
        out.insert(format!("{word}_tokens"), Value::Object(all));
    }
    if let Some(n) = nodes.iter().find(|n| n.is_balancer) {
        let token = tokens::of_stack(&d.sealer, n)?;
        out.insert("balancer_token".into(), token.into());
    }
    Ok(out)
}

/// Begins a resize to the present size for a cluster at rest that heals
/// itself: the label `auto_healing_enabled`, unless a controller inside of
/// the cluster does it. One that failed to heal waits for somebody.
///
/// # Errors
/// As the database and compute.
pub(crate) async fn follow(d: &ClustersDeps, c: &Cluster) -> Result<()> {
    let on = c.labels.get("auto_healing_enabled").is_some_and(|v| {
        matches!(
            v.trim().to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on" | "t" | "y"
        )
    });
    if !on || !c.complete() || c.engine()? != Coe::Kubernetes || super::health::hands_off(c)? {
        return Ok(());
    }
    let (gone, dead) = lost::dead(d, c).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    if lost(&nodes, &gone, &dead).is_empty() {
        return Ok(());
    }
    super::resize::again(d, c).await
}

#[cfg(test)]
mod tests;
