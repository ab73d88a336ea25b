//! Rebuilds lost nodes at the start of a resize: each gets an empty server with
//! the same name, index and address. A running master replaces the etcd member
//! of a lost master. Without a majority of running masters nothing is changed.
//!
//! ```text
//! lost ── Node object removed ── member replaced ── server rebuilt ── voter ── ready
//!                               (several masters)                  (masters)
//! ```

use std::collections::BTreeMap;

use db::Lease;
use kernel::{Ctx, Result, clock};
use orchestration::api::{StackUpdate, Unhealthy};
use serde_json::{Map, Value};

use super::model::Cluster;
use super::plan::PlanStep;
use super::{KIND, failed_servers, node_removal};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::coe::hot::{BALANCER, MASTERS, WORKERS};
use crate::node::{self, Node, NodeStatus, Task};
use crate::tokens;

pub(crate) const ADD: &str = "add-member";
pub(crate) const PROMOTE: &str = "promote-member";
/// Time limit for each of the two etcd tasks, seconds: etcd refuses new members
/// until its voters have been connected for five seconds.
const MEMBER_SECONDS: i64 = 120;
/// Resync interval for missed events, microseconds.
const RESYNC_INTERVAL: i64 = 5_000_000;

/// Returns the nodes whose servers can be rebuilt. `gone` lists the names of
/// servers in error; `dead` lists all servers that do not run, including those.
/// Pure.
pub(crate) fn nodes_to_rebuild<'a>(
    nodes: &'a [Node],
    gone: &[String],
    dead: &[String],
) -> Vec<&'a Node> {
    let masters = || nodes.iter().filter(|n| n.is_master && n.status.wanted());
    let running_masters =
        masters().filter(|n| n.status == NodeStatus::Ready && !dead.contains(&n.name));
    // Without a majority, the remaining members hold the only copy of the data
    // of the cluster.
    let majority = running_masters.count() > masters().count() / 2;
    nodes
        .iter()
        .filter(|n| match n.status {
            NodeStatus::Lost => true,
            NodeStatus::Ready => gone.contains(&n.name),
            // The last rebuild failed. A worker is replaced instead.
            NodeStatus::Failed => n.is_master || n.is_balancer,
            _ => false,
        })
        .filter(|n| majority || !n.is_master)
        .collect()
}

/// The next step for lost nodes; `None` if there are none. Pure.
pub(crate) fn decide(c: &Cluster, nodes: &[Node], tasks: &[Task], now: i64) -> Option<PlanStep> {
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
        return Some(PlanStep::Finish(Err(cause)));
    }
    let until =
        c.updated_at.unwrap_or(c.created_at) + tokens::token_lifetime_seconds(c) * 1_000_000;
    if until <= now {
        let names = names(&back);
        return Some(PlanStep::Finish(Err(format!(
            "Lost nodes were not rebuilt in time: {names}. Resize again to retry."
        ))));
    }
    let mut wait = format!("Waiting for {} to be rebuilt.", names(&back));
    let able = nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    let lost = || {
        back.iter()
            .filter(|n| n.status == NodeStatus::Lost)
            .copied()
    };
    let listed: Vec<&Node> = lost().filter(|n| !n.is_balancer).collect();
    if able && let Some(step) = node_removal::plan_node_object_removal(c, &listed, tasks, now) {
        return Some(step);
    }
    let mut ready: Vec<String> = lost()
        .filter(|n| !n.is_master)
        .map(|n| n.id.clone())
        .collect();
    // One after the other, because etcd allows one member without a vote.
    if let Some(n) = back.iter().find(|n| n.is_master) {
        let kind = if n.status == NodeStatus::Lost {
            Some(ADD)
        } else {
            n.session_hash.is_some().then_some(PROMOTE)
        };
        let task = kind.and_then(|kind| task(c, tasks, kind, &n.name));
        match (kind, task) {
            (None, _) => {}
            (Some(kind), None) => return Some(PlanStep::ChangeEtcdMember(kind, n.name.clone())),
            (Some(ADD), Some(t)) if t.status == "done" => ready.push(n.id.clone()),
            (_, Some(t)) if t.status == "failed" || t.status == "pending" && !t.pending(now) => {
                let said = if t.log.is_empty() {
                    "no master has answered"
                } else {
                    t.log.trim_end_matches('.')
                };
                return Some(PlanStep::Finish(Err(format!(
                    "Node {}: step {} failed: {said}. Resize again to try once more.",
                    t.node, t.kind
                ))));
            }
            (Some(ADD), _) => wait = format!("Waiting for a master to replace {} in etcd.", n.name),
            _ => {}
        }
    }
    Some(if ready.is_empty() {
        PlanStep::WaitUntil(until.min(now + RESYNC_INTERVAL), wait)
    } else {
        PlanStep::Rebuild(ready)
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

/// Creates a task in which a running master changes the members of etcd.
pub(crate) async fn change_etcd_member(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
    kind: &str,
    name: &str,
) -> Result<()> {
    let mut task = Task::new(&c.uuid, kind, name, clock::now_micros(), MEMBER_SECONDS);
    task.generation = c.generation;
    db::fenced!(d.db, lease, |tx| node::table::insert_task(tx, &task).await)
}

/// Makes the stack rebuild the servers of lost nodes, each with a new token. A
/// repeat after a crash finds the stored tokens, which also identify the
/// incidents for the stack.
pub(crate) async fn rebuild(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    c: &Cluster,
    ids: &[String],
) -> Result<()> {
    let lost = db::fenced!(d.db, lease, |tx| {
        let mut lost = Vec::new();
        for id in ids {
            let Some(mut n) = node::table::load_tx(tx, id).await? else {
                continue;
            };
            let now = clock::now_micros();
            let armed =
                n.fresh_sealed.is_some() && n.session_hash.is_none() && n.token_expires > now;
            if !armed {
                tokens::replace_token(&d.sealer, c, &mut n)?;
                node::table::replace_token(tx, &n).await?;
            }
            lost.push(n);
        }
        Ok(lost)
    })?;
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
    db::fenced!(d.db, lease, |tx| {
        for n in &lost {
            if let Some(mut n) = node::table::load_tx(tx, &n.id).await?
                && n.status == NodeStatus::Lost
            {
                n.status = NodeStatus::Waiting;
                node::table::set_observed_status(tx, &n).await?;
            }
        }
        tx.wake(KIND, &c.uuid);
        Ok(())
    })
}

/// The resource of a node in the stack of its cluster.
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

/// Token parameters of the nodes that the stack has. Sizes stay unchanged,
/// because leaving nodes must be drained first.
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
                let token = tokens::stack_token(&d.sealer, n)?;
                all.insert(n.index.to_string(), token.into());
            }
        }
        out.insert(format!("{word}_tokens"), Value::Object(all));
    }
    if let Some(n) = nodes.iter().find(|n| n.is_balancer) {
        let token = tokens::stack_token(&d.sealer, n)?;
        out.insert("balancer_token".into(), token.into());
    }
    Ok(out)
}

/// Starts a resize to the current size if the cluster is idle and has
/// auto-healing (label `auto_healing_enabled`), unless a controller inside the
/// cluster does the healing. A cluster whose last healing failed waits for an
/// operator.
///
/// # Errors
/// Fails if the database or compute fails.
pub(crate) async fn start_auto_heal(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<()> {
    let on = c.labels.get("auto_healing_enabled").is_some_and(|v| {
        matches!(
            v.trim().to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on" | "t" | "y"
        )
    });
    if !on
        || !c.complete()
        || c.engine()? != Coe::Kubernetes
        || super::health::is_health_delegated(c)?
    {
        return Ok(());
    }
    let (gone, dead) = failed_servers::unavailable_servers(d, c).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    if nodes_to_rebuild(&nodes, &gone, &dead).is_empty() {
        return Ok(());
    }
    super::resize::resize_to_current_size(d, lease, c).await
}

#[cfg(test)]
mod tests;
