//! The end of an operation: statuses, addresses, and the cause of a failure.

use std::collections::BTreeMap;

use kernel::Timestamp;
use serde_json::Value;

use super::status::{self, Progress};
use crate::NodeId;
use crate::cluster::model::{Cluster, Intent};
use crate::coe::Coe;
use crate::node::{Node, NodeStatus};
use crate::nodegroup::Group;
use crate::status::Status;

/// Outputs of the stack of a cluster.
pub(crate) type Outputs = BTreeMap<String, Value>;

/// The rows of a cluster at the end of its operation.
pub(crate) struct Settlement {
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    /// With their addresses; status and reason of each.
    pub(crate) groups: Vec<(Group, Status, Option<String>)>,
    /// Ids of the nodes whose servers are deleted.
    pub(crate) removed: Vec<NodeId>,
    /// The address of the cluster's API; `None`: it stays as it is.
    pub(crate) api_address: Option<Option<String>>,
}

/// Computes the end of the current operation. `outcome` is the failure that the
/// stack or the tasks report; the failure of a node is more precise. `port` is
/// that of the cluster's API.
pub(crate) fn settle(
    (coe, port): (Coe, u16),
    c: &Cluster,
    (groups, nodes): (&[Group], &[Node]),
    outputs: Option<&Outputs>,
    outcome: Result<(), &str>,
) -> Settlement {
    let (reasons, first) = match outcome {
        Ok(()) => (BTreeMap::new(), Ok(())),
        Err(why) => {
            let (reasons, first) = causes(coe, groups, nodes, why);
            (reasons, Err(first))
        }
    };
    let ended = first.as_ref().copied().map_err(String::as_str);
    let (status, reason) = status::of_cluster(c, Progress::Ended(ended));
    let groups = groups.iter().map(|g| {
        let mut group = g.clone();
        if let Some(found) = addresses(outputs, g) {
            group.node_addresses = found;
        }
        let reason = reasons.get(&g.name).cloned();
        let concerned = reasons.is_empty() || reason.is_some();
        (group, status::of_group(status, concerned), reason)
    });
    let groups: Vec<_> = groups.collect();
    let done = outcome.is_ok();
    let leaving = |n: &&Node| done && n.status == NodeStatus::Leaving;
    let built = matches!(c.intent, Intent::Create | Intent::Resize | Intent::Rollback);
    let host = || api_host(nodes, &groups, outputs).map(|ip| coe.api_address(ip, port));
    Settlement {
        status,
        reason,
        removed: nodes.iter().filter(leaving).map(|n| n.id.clone()).collect(),
        api_address: (done && built).then(host),
        groups,
    }
}

/// The cause of each group, and the earliest cause overall.
pub(crate) fn causes(
    coe: Coe,
    groups: &[Group],
    nodes: &[Node],
    why: &str,
) -> (BTreeMap<String, String>, String) {
    let mut failed: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.status == NodeStatus::Failed)
        .collect();
    failed.sort_by_key(|n| n.failure().map_or(Timestamp::MAX, |s| s.reported_at));
    // The balancer belongs to no group; it counts as part of the masters.
    let masters = groups.iter().find(|g| g.is_master());
    let mut out = BTreeMap::new();
    let mut first = None;
    for n in failed {
        if let Some(cause) = n.cause(coe) {
            first.get_or_insert_with(|| cause.clone());
            let group = match masters {
                Some(masters) if n.is_balancer => &masters.name,
                _ => &n.nodegroup,
            };
            out.entry(group.clone()).or_insert(cause);
        }
    }
    if let Some(first) = first {
        return (out, first);
    }
    let why = if why.is_empty() {
        "The stack failed without a reason."
    } else {
        why
    };
    for g in groups {
        out.insert(g.name.clone(), why.to_owned());
    }
    (out, why.to_owned())
}

/// The host of the cluster's API: the balancer, otherwise the first master.
fn api_host<'a>(
    nodes: &'a [Node],
    groups: &'a [(Group, Status, Option<String>)],
    outputs: Option<&'a Outputs>,
) -> Option<&'a str> {
    let Some(balancer) = nodes.iter().find(|n| n.is_balancer) else {
        let (masters, ..) = groups.iter().find(|(g, ..)| g.is_master())?;
        return masters.node_addresses.first().map(String::as_str);
    };
    let reported = outputs.and_then(|all| all.get("balancer_address")?.as_str());
    // The address that the balancer reported, if the stack has none.
    reported.or(balancer.addresses.first().map(String::as_str))
}

/// Addresses of a group in the outputs of the stack; `None` if there are none.
fn addresses(outputs: Option<&Outputs>, group: &Group) -> Option<Vec<String>> {
    let list = outputs?.get(&format!("{}_addresses", group.name_part()))?;
    let addresses = list.as_array()?.iter().filter_map(Value::as_str);
    Some(addresses.map(str::to_owned).collect())
}
