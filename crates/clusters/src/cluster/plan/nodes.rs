//! The changes of the nodes with which an operation starts: creation, resize,
//! healing and rollback are lists of the same steps.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Error, Result};

use super::{NodeStep, selection};
use crate::NodeId;
use crate::cluster::model::Cluster;
use crate::coe::Coe;
use crate::coe::kubernetes::drain_limit;
use crate::coe::kubernetes::networks::Networks;
use crate::node::{Node, NodeEvent, NodeStatus};
use crate::nodegroup::Group;

/// Time limit of a swarm manager for draining a node.
const SWARM_DRAIN_LIMIT: Duration = Duration::from_secs(45);

/// A cluster as it is before an operation.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    pub(crate) coe: Coe,
    pub(crate) cluster: &'a Cluster,
    pub(crate) groups: &'a [Group],
    pub(crate) nodes: &'a [Node],
    /// The ranges of a Kubernetes cluster.
    pub(crate) networks: Option<&'a Networks>,
    /// Names of servers in error.
    pub(crate) in_error: &'a [String],
    /// Names of all servers that do not run, including those.
    pub(crate) not_running: &'a [String],
}

impl<'a> Members<'a> {
    fn of_group(&self, nodes: &'a [Node], group: &str) -> Vec<&'a Node> {
        nodes
            .iter()
            .filter(|n| n.nodegroup == group && n.status.wanted())
            .collect()
    }
}

/// All nodes of a new cluster. `balancer`: whether one runs in front of the
/// masters.
///
/// # Errors
/// Fails if the pod range of the cluster is too small.
pub(crate) fn create(
    groups: &[Group],
    networks: Option<&Networks>,
    balancer: bool,
) -> Result<Vec<NodeStep>> {
    let new: Vec<(&str, i64)> = groups
        .iter()
        .map(|g| (g.name.as_str(), g.node_count))
        .collect();
    let mut steps = add(&new, networks, &[])?;
    steps.extend(balancer.then_some(NodeStep::AddBalancer));
    Ok(steps)
}

/// Gives groups new sizes, and rebuilds lost nodes of all groups. `named` are
/// the nodes that should leave.
///
/// # Errors
/// Fails if `named` is not possible, a group does not exist, or the pod range
/// is exhausted.
pub(crate) fn resize(
    before: Members<'_>,
    sizes: &BTreeMap<String, i64>,
    named: &[String],
) -> Result<Vec<NodeStep>> {
    let c = before.cluster;
    let lost: Vec<NodeId> = if before.coe == Coe::Kubernetes {
        let lost = selection::for_rebuild(before.nodes, before.in_error, before.not_running);
        lost.into_iter().map(|n| n.id.clone()).collect()
    } else {
        Vec::new()
    };
    let mut nodes = before.nodes.to_vec();
    for n in nodes.iter_mut().filter(|n| lost.contains(&n.id)) {
        n.status = n.status.after(NodeEvent::Lost);
    }
    // A failed node never recovers: it is replaced.
    let broken = c.is_update_broken();
    let (mut steps, mut withdrawn, mut leaving, mut new) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (group, count) in sizes {
        check_group(before.groups, group)?;
        let members = before.of_group(&nodes, group);
        let choice = selection::for_size(&members, *count, named, broken)?;
        let (unsent, left) = selection::split(&members, choice.leave, c.sent_generation);
        steps.push(size(group, *count));
        withdrawn.extend(unsent);
        leaving.extend(left);
        new.push((group.as_str(), choice.add));
    }
    steps.extend(
        withdrawn
            .iter()
            .map(|n| NodeStep::DeleteUnsent { node: n.id.clone() }),
    );
    steps.extend(add(&new, before.networks, before.nodes)?);
    let stays = |id: &NodeId| !leaving.iter().any(|n| n.id == *id);
    let lost = lost.into_iter().filter(stays);
    steps.extend(lost.map(|node| NodeStep::Replace { node }));
    steps.extend(leave(before, &nodes, &leaving));
    Ok(steps)
}

/// Returns all groups of workers to their sizes before the operation; `sizes`
/// has those that it changed.
///
/// # Errors
/// Fails if the pod range is exhausted.
pub(crate) fn roll_back(
    before: Members<'_>,
    sizes: &BTreeMap<String, i64>,
) -> Result<Vec<NodeStep>> {
    let c = before.cluster;
    let (mut steps, mut leaving, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for g in before.groups.iter().filter(|g| !g.is_master()) {
        let count = sizes.get(&g.name).copied().unwrap_or(g.node_count);
        let members = before.of_group(before.nodes, &g.name);
        let choice = selection::for_rollback(&members, c.generation, count);
        steps.push(size(&g.name, count));
        leaving.extend(choice.leave);
        new.push((g.name.as_str(), choice.add));
    }
    steps.extend(add(&new, before.networks, before.nodes)?);
    steps.extend(leave(before, before.nodes, &leaving));
    Ok(steps)
}

fn check_group(groups: &[Group], name: &str) -> Result<()> {
    if groups.iter().any(|g| g.name == name) {
        return Ok(());
    }
    Err(Error::not_found("Nodegroup", name))
}

fn size(group: &str, count: i64) -> NodeStep {
    NodeStep::SetSize {
        group: group.to_owned(),
        count,
    }
}

/// New nodes of groups, each with a free pod range; none in a swarm.
fn add(new: &[(&str, i64)], networks: Option<&Networks>, nodes: &[Node]) -> Result<Vec<NodeStep>> {
    let groups: Vec<&str> = new
        .iter()
        .flat_map(|(group, count)| {
            std::iter::repeat_n(*group, usize::try_from(*count).unwrap_or(0))
        })
        .collect();
    let taken = nodes.iter().filter_map(|n| n.pod_cidr.as_deref());
    let ranges = match networks {
        Some(networks) => networks.free(taken, groups.len())?,
        None => Vec::new(),
    };
    let mut ranges = ranges.into_iter();
    let steps = groups.into_iter().map(|group| NodeStep::Add {
        group: group.to_owned(),
        pod_cidr: ranges.next(),
    });
    Ok(steps.collect())
}

/// Nodes that joined are drained if a master can do it, except nodes whose
/// servers do not run: nothing runs on a stopped server any more, although its
/// pods are still listed.
fn leave(before: Members<'_>, nodes: &[Node], leaving: &[&Node]) -> Vec<NodeStep> {
    let able = nodes
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    let limit = match before.coe {
        Coe::Swarm => SWARM_DRAIN_LIMIT,
        // They run one after the other in the worst case.
        Coe::Kubernetes => drain_limit(&before.cluster.labels)
            .saturating_mul(u32::try_from(leaving.len()).unwrap_or(u32::MAX).max(1)),
    };
    let drained =
        |n: &Node| able && n.status == NodeStatus::Ready && !before.not_running.contains(&n.name);
    leaving
        .iter()
        .map(|n| NodeStep::Remove {
            node: n.id.clone(),
            drain: drained(n).then_some(limit),
        })
        .collect()
}
