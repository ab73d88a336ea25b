//! Resizing the workers: selects the nodes that leave and adds new ones.

use db::{Lease, Table as _, Tx};
use kernel::{Ctx, Error, Result, clock};

use super::model::{Cluster, Intent};
use super::wire::ResizeBody;
use super::{KIND, failed_servers, heal, ops, table};
use crate::ClustersDeps;
use crate::authorized::Authorized;
use crate::coe::Coe;
use crate::coe::kubernetes::drain_seconds;
use crate::errors::{bad_request, wrong_state};
use crate::kube::{self, Kube};
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup::{self, Group, WORKER};
use crate::notify::{self, Outcome};
use crate::tokens;

/// Time limit of a swarm manager for draining a node …
const DRAIN_SECONDS: i64 = 45;
/// … and for removing it from the swarm.
pub(crate) const REMOVE_SECONDS: i64 = 15;

/// `POST actions/resize`.
pub(crate) async fn resize(
    d: &ClustersDeps,
    ctx: &Ctx,
    c: &Authorized<Cluster>,
    body: ResizeBody,
) -> Result<()> {
    let leave = server_names(d, c, body.leave).await?;
    let resize_request = ResizeRequest {
        group: body.group.as_deref().unwrap_or(WORKER),
        count: body.count,
        leave: &leave,
        rollback: false,
    };
    let servers = ServerStates::load(d, c).await?;
    db::write!(d.db, |tx| {
        db::mark_now(tx, KIND, &c.uuid).await?;
        tx.write_receipt().await?;
        let cluster = ops::lock_unchanged(tx, c).await?;
        start_operation(tx, d, ctx, cluster, &resize_request, &servers).await
    })
}

/// Parameters of a resize.
pub(crate) struct ResizeRequest<'a> {
    /// Name or id.
    pub(crate) group: &'a str,
    pub(crate) count: i64,
    /// Names, ids, indices or addresses of nodes that should leave.
    pub(crate) leave: &'a [String],
    /// Whether a failure is followed by a rollback.
    pub(crate) rollback: bool,
}

/// Callers may pass ids of servers, which are resolved through the stack.
async fn server_names(d: &ClustersDeps, c: &Cluster, keys: Vec<String>) -> Result<Vec<String>> {
    if !keys.iter().any(|k| kernel::ids::is_uuid_like(k)) {
        return Ok(keys);
    }
    let ctx = Ctx::for_project("", &c.project_id);
    let members = match d.orchestration.stacks.resources(&ctx, &c.stack_id).await {
        Ok(all) => all,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return Err(e),
    };
    Ok(keys
        .into_iter()
        .map(|key| {
            let member = members
                .iter()
                .find(|m| m.physical_id.as_deref() == Some(key.as_str()) && m.parent.is_some());
            member.map_or(key, |m| m.name.clone())
        })
        .collect())
}

/// Server states that the resize of a Kubernetes cluster needs; empty for a
/// swarm.
#[derive(Default)]
pub(crate) struct ServerStates {
    kube: Option<Kube>,
    /// Names of servers in error, and of all servers that do not run, including
    /// those.
    gone: Vec<String>,
    dead: Vec<String>,
}

impl ServerStates {
    /// # Errors
    /// Fails if the database or compute fails.
    pub(crate) async fn load(d: &ClustersDeps, c: &Cluster) -> Result<Self> {
        if c.engine()? != Coe::Kubernetes {
            return Ok(Self::default());
        }
        let kube = kube::table::load(&d.db, &c.uuid).await?;
        let (gone, dead) = failed_servers::unavailable_servers(d, c).await?;
        Ok(Self {
            kube: Some(kube),
            gone,
            dead,
        })
    }
}

/// Starts a resize in a transaction that has locked the cluster: sizes, leaving
/// and new nodes, tasks, status, event.
///
/// # Errors
/// Fails if the request or the state of the cluster does not allow the resize.
pub(crate) async fn start_operation(
    tx: &mut Tx,
    d: &ClustersDeps,
    ctx: &Ctx,
    mut cluster: Cluster,
    resize_request: &ResizeRequest<'_>,
    servers: &ServerStates,
) -> Result<()> {
    let count = resize_request.count;
    let uuid = &cluster.uuid.clone();
    let ServerStates { kube, gone, dead } = servers;
    let mut groups = nodegroup::table::of_cluster_tx(tx, uuid).await?;
    let Some(g) = groups
        .iter_mut()
        .find(|g| g.name == resize_request.group || g.uuid == resize_request.group)
    else {
        return Err(Error::not_found("Nodegroup", resize_request.group));
    };
    check(&cluster, g, count)?;
    let mut all = node::table::of_cluster_tx(tx, uuid).await?;
    let lost: Vec<String> = if kube.is_some() {
        let lost = heal::nodes_to_rebuild(&all, gone, dead);
        lost.into_iter().map(|n| n.id.clone()).collect()
    } else {
        Vec::new()
    };
    for n in all.iter_mut().filter(|n| lost.contains(&n.id)) {
        n.status = NodeStatus::Lost;
    }
    let nodes: Vec<&Node> = all
        .iter()
        .filter(|n| n.nodegroup == g.name && n.status.wanted())
        .collect();
    // A failed node never recovers: it is replaced.
    let broken = matches!(cluster.status.as_str(), "UPDATE_FAILED" | "ROLLBACK_FAILED");
    let choice = choose(&nodes, count, resize_request.leave, broken)?;
    let ranges = allocate_pod_ranges(kube.as_ref(), &all, choice.add)?;
    let (unheard, leaving) = split(&nodes, choice.leave, cluster.sent_generation);
    for n in &unheard {
        node::table::delete_unsent(tx, &n.id).await?;
    }
    let before = g.node_count;
    g.node_count = count;
    g.next_index -= i64::try_from(unheard.len()).unwrap_or(0);
    ops::start_operation(tx, &mut cluster, Intent::Resize, None).await?;
    if resize_request.rollback {
        table::set_rollback(tx, uuid, Some(before), None).await?;
    }
    add_nodes(tx, d, &cluster, g, choice.add, ranges).await?;
    let left: Vec<&str> = leaving.iter().map(|n| n.id.as_str()).collect();
    let stays = |n: &&Node| lost.contains(&n.id) && !left.contains(&n.id.as_str());
    for n in all.iter().filter(stays) {
        node::table::set_status(tx, n).await?;
    }
    mark_nodes_leaving(tx, &cluster, &all, &leaving, dead).await?;
    let pending = Outcome::Pending;
    notify::push(tx, Some(ctx), "update", pending, &cluster, &groups).await
}

/// Allocates pod ranges for new nodes; none in a swarm.
///
/// # Errors
/// Fails if the range is exhausted.
pub(super) fn allocate_pod_ranges(
    kube: Option<&Kube>,
    all: &[Node],
    count: i64,
) -> Result<Vec<String>> {
    let taken = all.iter().filter_map(|n| n.pod_cidr.as_deref());
    match kube {
        Some(kube) => kube
            .networks
            .free(taken, usize::try_from(count).unwrap_or(0)),
        None => Ok(Vec::new()),
    }
}

/// Adds new nodes, and stores the size of the group.
pub(super) async fn add_nodes(
    tx: &mut Tx,
    d: &ClustersDeps,
    cluster: &Cluster,
    g: &mut Group,
    count: i64,
    ranges: Vec<String>,
) -> Result<()> {
    let mut ranges = ranges.into_iter();
    for _ in 0..count {
        let mut fresh = tokens::new_node(&d.sealer, cluster, g)?;
        fresh.pod_cidr = ranges.next();
        fresh.insert(tx).await?;
    }
    nodegroup::table::set_size(tx, g).await
}

/// Marks nodes as leaving. Nodes that joined are drained if a master can do it,
/// except nodes whose servers are `dead`.
pub(super) async fn mark_nodes_leaving(
    tx: &mut Tx,
    cluster: &Cluster,
    all: &[Node],
    leaving: &[&Node],
    dead: &[String],
) -> Result<()> {
    let published = all
        .iter()
        .any(|n| n.is_master && n.status == NodeStatus::Ready);
    let now = clock::now_micros();
    let seconds = match cluster.engine()? {
        Coe::Swarm => DRAIN_SECONDS,
        // They run one after the other in the worst case.
        Coe::Kubernetes => drain_seconds(&cluster.labels)
            .saturating_mul(i64::try_from(leaving.len()).unwrap_or(i64::MAX).max(1)),
    };
    for n in leaving {
        let mut gone = (*n).clone();
        // Nothing runs on a stopped server any more, although its pods are
        // still listed.
        let joined = gone.status == NodeStatus::Ready && !dead.contains(&gone.name);
        gone.status = NodeStatus::Leaving;
        node::table::set_status(tx, &gone).await?;
        if joined && published {
            let mut task = Task::new(&cluster.uuid, "drain", &gone.name, now, seconds);
            task.generation = cluster.generation;
            node::table::insert_task(tx, &task).await?;
        }
    }
    Ok(())
}

/// Starts a resize to the current size by the reconciler, which rebuilds lost
/// nodes. Does nothing if another operation has started.
///
/// # Errors
/// Same errors as [`begin`].
pub(crate) async fn resize_to_current_size(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
) -> Result<()> {
    let groups = nodegroup::table::of_cluster(&d.db, &c.uuid).await?;
    let Some(workers) = groups.iter().find(|g| g.name == WORKER) else {
        return Ok(());
    };
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let resize_request = ResizeRequest {
        group: WORKER,
        count: workers.node_count,
        leave: &[],
        rollback: false,
    };
    let servers = ServerStates::load(d, c).await?;
    db::fenced!(d.db, lease, |tx| {
        let Some(cluster) = table::lock(tx, &c.uuid).await? else {
            return Ok(());
        };
        if cluster.generation != c.generation {
            return Ok(());
        }
        db::mark(tx, KIND, &c.uuid).await?;
        start_operation(tx, d, &ctx, cluster, &resize_request, &servers).await
    })
}

/// Nodes that the stack does not know yet are deleted and their indices are
/// reused, because the stack would not record them as removed. They are
/// interchangeable, so the newest are deleted, which leaves no gap.
fn split<'a>(
    nodes: &[&'a Node],
    leave: Vec<&'a Node>,
    sent: i64,
) -> (Vec<&'a Node>, Vec<&'a Node>) {
    let (unheard, leaving): (Vec<&Node>, Vec<&Node>) =
        leave.into_iter().partition(|n| n.generation > sent);
    let mut newest: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.generation > sent)
        .copied()
        .collect();
    newest.sort_by_key(|n| -n.index);
    newest.truncate(unheard.len());
    (newest, leaving)
}

fn check(cluster: &Cluster, g: &Group, count: i64) -> Result<()> {
    if g.is_master() {
        return Err(bad_request(
            "nodegroup",
            "Resizing the master nodegroup is not supported by this driver.",
        ));
    }
    if count < g.min_node_count || g.max_node_count.is_some_and(|max| count > max) {
        let max = g
            .max_node_count
            .map_or_else(|| "None".to_owned(), |m| m.to_string());
        return Err(bad_request(
            "node_count",
            format!(
                "Resizing {} outside the allowed range: min_node_count = {}, max_node_count = {max}",
                g.name, g.min_node_count
            ),
        ));
    }
    if !cluster.resizable() {
        return Err(wrong_state("Resizing", &cluster.status));
    }
    Ok(())
}

/// The nodes that leave and the number of nodes to add.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NodeSelection<'a> {
    pub(crate) leave: Vec<&'a Node>,
    pub(crate) add: i64,
}

/// Failed nodes leave first, then the named ones, then lost and newest ones.
/// `broken`: the last update failed, so every node that is not ready counts as
/// failed; lost nodes are rebuilt.
pub(crate) fn choose<'a>(
    nodes: &[&'a Node],
    count: i64,
    named: &[String],
    broken: bool,
) -> Result<NodeSelection<'a>> {
    let failed = |n: &Node| match n.status {
        NodeStatus::Failed => true,
        NodeStatus::Ready | NodeStatus::Lost => false,
        _ => broken,
    };
    let size = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let shrink = (size - count).max(0);
    let mut leave: Vec<&Node> = Vec::new();
    for key in named {
        let Some(node) = nodes.iter().find(|n| n.answers_to(key)) else {
            return Err(bad_request(
                "nodes_to_remove",
                format!(
                    "nodes_to_remove: {key} is no node of this nodegroup; give names, ids or addresses."
                ),
            ));
        };
        if !leave.iter().any(|n| n.id == node.id) {
            leave.push(node);
        }
    }
    let asked = i64::try_from(leave.len()).unwrap_or(i64::MAX);
    if asked > shrink {
        return Err(bad_request(
            "nodes_to_remove",
            format!(
                "nodes_to_remove names {asked} nodes, but from {size} to {count} only {shrink} can go."
            ),
        ));
    }
    for n in nodes.iter().filter(|n| failed(n)) {
        if !leave.iter().any(|l| l.id == n.id) {
            leave.push(n);
        }
    }
    let mut rest: Vec<&Node> = nodes
        .iter()
        .filter(|n| !leave.iter().any(|l| l.id == n.id))
        .copied()
        .collect();
    rest.sort_by_key(|n| (n.status == NodeStatus::Lost, n.index));
    while i64::try_from(rest.len()).unwrap_or(i64::MAX) > count {
        if let Some(n) = rest.pop() {
            leave.push(n);
        }
    }
    let kept = i64::try_from(rest.len()).unwrap_or(i64::MAX);
    Ok(NodeSelection {
        leave,
        add: count - kept,
    })
}
