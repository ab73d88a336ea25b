//! Ends an operation: outputs, addresses, statuses and the event, in one
//! transaction under the lease.

use std::collections::BTreeMap;

use db::Lease;
use kernel::Result;
use orchestration::api::Stack;
use serde_json::Value;

use super::model::{Cluster, Intent};
use super::table;
use crate::ClustersDeps;
use crate::coe::{Coe, swarm};
use crate::kube;
use crate::node::{self, Node, NodeStatus};
use crate::nodegroup::{self, Group, MASTER};
use crate::notify::{self, Outcome};

/// Writes the end of the current operation. `cause` is the failure that the
/// stack or the tasks report; the failure of a node is more precise.
pub(crate) async fn finish_operation(
    d: &ClustersDeps,
    lease: &Lease,
    cluster: &Cluster,
    stack: Option<&Stack>,
    outcome: Result<(), String>,
) -> Result<()> {
    let coe = cluster.engine()?;
    let port = match coe {
        Coe::Swarm => swarm::API_PORT,
        Coe::Kubernetes => {
            let kube = kube::table::load(&d.db, &cluster.uuid).await?;
            kube.networks.api_port
        }
    };
    db::fenced!(d.db, lease, |tx| {
        let mut groups = nodegroup::table::of_cluster_tx(tx, &cluster.uuid).await?;
        let nodes = node::table::of_cluster_tx(tx, &cluster.uuid).await?;
        let (reasons, outcome) = match &outcome {
            Ok(()) => (BTreeMap::new(), Ok(())),
            Err(why) => {
                let (reasons, first) = causes(coe, &groups, &nodes, why);
                (reasons, Err(first))
            }
        };
        let (status, status_reason) = cluster.final_status(&outcome);
        if !table::finish(tx, cluster, &status, status_reason.as_deref()).await? {
            // A newer operation has started and will end separately.
            return Ok(());
        }
        let outputs = stack.map(|s| &s.outputs);
        for group in &mut groups {
            if let Some(found) = addresses(outputs, group) {
                group.node_addresses = found;
            }
            let reason = reasons.get(&group.name).map(String::as_str);
            let own = if reasons.is_empty() || reason.is_some() {
                status.clone()
            } else {
                format!("{}_COMPLETE", cluster.intent.verb())
            };
            nodegroup::table::finish(tx, group, &own, reason).await?;
        }
        let mut after = cluster.clone();
        if outcome.is_ok() {
            for n in nodes.iter().filter(|n| n.status == NodeStatus::Leaving) {
                let mut gone = n.clone();
                gone.status = NodeStatus::Removed;
                node::table::set_observed_status(tx, &gone).await?;
            }
            if matches!(
                cluster.intent,
                Intent::Create | Intent::Resize | Intent::Rollback
            ) {
                let front = api_host(&nodes, &groups, outputs);
                after.api_address = front.map(|ip| coe.api_address(ip, port));
                table::set_address(tx, &cluster.uuid, after.api_address.as_deref()).await?;
            }
            node::table::drop_tasks(tx, &cluster.uuid, cluster.generation).await?;
        }
        after.status = status;
        after.status_reason = status_reason;
        let notified_outcome = if outcome.is_ok() {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        let action = cluster.intent.activity();
        notify::push(tx, None, action, notified_outcome, &after, &groups).await
    })
}

/// The host of the cluster's API: the balancer, otherwise the first master.
fn api_host<'a>(
    nodes: &'a [Node],
    groups: &'a [Group],
    outputs: Option<&'a BTreeMap<String, Value>>,
) -> Option<&'a str> {
    if !nodes.iter().any(|n| n.is_balancer) {
        return first_master(groups);
    }
    let said = outputs.and_then(|all| all.get("balancer_address")?.as_str());
    said.or(balancer(nodes))
}

/// The cause of each group, and the earliest cause overall.
pub(super) fn causes(
    coe: Coe,
    groups: &[Group],
    nodes: &[Node],
    why: &str,
) -> (BTreeMap<String, String>, String) {
    let mut failed: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.status == NodeStatus::Failed)
        .collect();
    failed.sort_by_key(|n| n.failure().map_or(i64::MAX, |s| s.at_micros));
    let mut out = BTreeMap::new();
    let mut first = None;
    for n in failed {
        if let Some(cause) = n.cause(coe) {
            first.get_or_insert_with(|| cause.clone());
            // The balancer belongs to no group; it counts as part of the
            // masters.
            let group = if n.is_balancer { MASTER } else { &n.nodegroup };
            out.entry(group.to_owned()).or_insert(cause);
        }
    }
    if let Some(first) = first {
        return (out, first);
    }
    let why = if why.is_empty() {
        "The stack failed without saying why."
    } else {
        why
    };
    for g in groups {
        out.insert(g.name.clone(), why.to_owned());
    }
    (out, why.to_owned())
}

/// Addresses of a group in the outputs of the stack; `None` if there are none.
fn addresses(outputs: Option<&BTreeMap<String, Value>>, group: &Group) -> Option<Vec<String>> {
    let key = if group.is_master() {
        "master_addresses"
    } else {
        "node_addresses"
    };
    let list = outputs?.get(key)?.as_array()?;
    Some(
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    )
}

/// The address reported by the balancer, if the stack has none.
fn balancer(nodes: &[Node]) -> Option<&str> {
    let node = nodes.iter().find(|n| n.is_balancer)?;
    node.addresses.first().map(String::as_str)
}

/// Without a balancer, the address of the first master is the address of the
/// cluster.
fn first_master(groups: &[Group]) -> Option<&str> {
    let group = groups.iter().find(|g| g.is_master())?;
    group.node_addresses.first().map(String::as_str)
}
