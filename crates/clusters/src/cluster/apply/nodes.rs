//! Writes the changes of nodes with which an operation starts or is cancelled.

use db::{Table as _, Tx};
use kernel::{Result, clock};
use pki::Sealer;
use std::time::Duration;

use crate::cluster::model::Cluster;
use crate::cluster::plan::NodeStep;
use crate::node::{self, Node, NodeEvent, Task, TaskKind};
use crate::nodegroup::{self, Group};
use crate::{NodeId, tokens};

/// Time limit of a master for uncordoning a node.
const ACTIVATE_LIMIT: Duration = Duration::from_mins(10);

/// The rows that steps change.
pub(crate) struct Rows<'a> {
    /// As it is after the start of the operation.
    pub(crate) cluster: &'a Cluster,
    /// The groups get their new sizes and indices, which the caller stores.
    pub(crate) groups: &'a mut [Group],
    pub(crate) nodes: &'a [Node],
}

/// Performs the steps in a transaction that has locked the cluster.
///
/// # Errors
/// Fails if the database fails.
pub(crate) async fn apply(
    tx: &mut Tx,
    sealer: &Sealer,
    rows: Rows<'_>,
    steps: &[NodeStep],
) -> Result<()> {
    let Rows {
        cluster: c,
        groups,
        nodes,
    } = rows;
    let find = |id: &NodeId| nodes.iter().find(|n| n.id == *id);
    for step in steps {
        match step {
            NodeStep::SetSize { group, count } => {
                if let Some(g) = groups.iter_mut().find(|g| g.name == *group) {
                    g.node_count = *count;
                }
            }
            NodeStep::DeleteUnsent { node } => {
                node::table::delete_unsent(tx, node).await?;
                let group = find(node).map(|n| &n.nodegroup);
                if let Some(g) = groups.iter_mut().find(|g| Some(&g.name) == group) {
                    g.next_index -= 1;
                }
            }
            NodeStep::Add { group, pod_cidr } => {
                if let Some(g) = groups.iter_mut().find(|g| g.name == *group) {
                    let mut new = tokens::new_node(sealer, c, g)?;
                    new.pod_cidr.clone_from(pod_cidr);
                    new.insert(tx).await?;
                }
            }
            NodeStep::AddBalancer => tokens::new_balancer(sealer, c)?.insert(tx).await?,
            NodeStep::Replace { node } => {
                change_status(tx, find(node), NodeEvent::Lost).await?;
            }
            NodeStep::Remove { node, drain } => {
                change_status(tx, find(node), NodeEvent::Leaving).await?;
                if let Some(seconds) = drain {
                    insert_task(tx, c, TaskKind::Drain, (find(node), *seconds)).await?;
                }
            }
            NodeStep::CancelRemoval {
                node,
                was_ready,
                uncordon,
            } => {
                let event = NodeEvent::Staying {
                    was_ready: *was_ready,
                };
                change_status(tx, find(node), event).await?;
                if *uncordon {
                    let limit = (find(node), ACTIVATE_LIMIT);
                    insert_task(tx, c, TaskKind::Activate, limit).await?;
                }
            }
        }
    }
    Ok(())
}

/// Stores the sizes of the groups that the steps change.
///
/// # Errors
/// Fails if the database fails.
pub(crate) async fn store_sizes(tx: &mut Tx, groups: &[Group], steps: &[NodeStep]) -> Result<()> {
    for g in groups {
        let is_size =
            |s: &NodeStep| matches!(s, NodeStep::SetSize { group, .. } if *group == g.name);
        if steps.iter().any(is_size) {
            nodegroup::table::set_size(tx, g).await?;
        }
    }
    Ok(())
}

async fn change_status(tx: &mut Tx, n: Option<&Node>, event: NodeEvent) -> Result<()> {
    let Some(n) = n else { return Ok(()) };
    let mut changed = n.clone();
    changed.status = n.status.after(event);
    node::table::set_status(tx, &changed).await
}

/// A task for a node with a time limit.
async fn insert_task(
    tx: &mut Tx,
    c: &Cluster,
    kind: TaskKind,
    (n, limit): (Option<&Node>, Duration),
) -> Result<()> {
    let Some(n) = n else { return Ok(()) };
    let mut task = Task::new(&c.uuid, kind, &n.name, clock::now(), limit);
    task.generation = c.generation;
    node::table::insert_task(tx, &task).await
}
