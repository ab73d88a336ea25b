//! The request to resize a node group.

use std::collections::BTreeMap;

use db::Tx;
use kernel::{Ctx, Error, Result};

use super::apply::start_resize::{Resize, start_resize};
use super::model::Cluster;
use super::servers::Infrastructure;
use super::size;
use super::wire::ResizeBody;
use super::{KIND, operation, table};
use crate::ClustersDeps;
use crate::authorized::Authorized;
use crate::errors::{bad_request, wrong_state};
use crate::nodegroup::{self, Group, default};

/// `POST actions/resize`.
pub(crate) async fn resize(
    d: &ClustersDeps,
    ctx: &Ctx,
    c: &Authorized<Cluster>,
    body: ResizeBody,
) -> Result<()> {
    let leave = server_names(d, c, body.leave).await?;
    let infrastructure = Infrastructure::load(d, c).await?;
    let request = ResizeRequest {
        group: body.group.as_deref().unwrap_or(default::WORKER),
        count: body.count,
        leave: &leave,
        prefix: size::prefix(d, c).await?,
        rollback: false,
    };
    db::write!(d.db, |tx| {
        db::mark_now(tx, KIND, &c.uuid).await?;
        tx.write_receipt().await?;
        let cluster = operation::lock_unchanged(tx, c).await?;
        accept(tx, d, ctx, cluster, &request, &infrastructure).await
    })
}

/// Parameters of a resize.
pub(crate) struct ResizeRequest<'a> {
    /// Name or id.
    pub(crate) group: &'a str,
    pub(crate) count: i64,
    /// Names, ids, indices or addresses of nodes that should leave.
    pub(crate) leave: &'a [String],
    /// Prefix length of the subnet of the nodes.
    pub(crate) prefix: u8,
    /// Whether a failure is followed by a rollback. The cluster stores only one
    /// size to return to: that of the group of [`default::sizes`].
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

/// Starts a resize in a transaction that has locked the cluster.
///
/// # Errors
/// Fails if the request or the state of the cluster does not allow the resize.
pub(crate) async fn accept(
    tx: &mut Tx,
    d: &ClustersDeps,
    ctx: &Ctx,
    cluster: Cluster,
    request: &ResizeRequest<'_>,
    infrastructure: &Infrastructure,
) -> Result<()> {
    let groups = nodegroup::table::of_cluster_tx(tx, &cluster.uuid).await?;
    let Some(g) = groups
        .iter()
        .find(|g| g.name == request.group || g.uuid == request.group)
    else {
        return Err(Error::not_found("Nodegroup", request.group));
    };
    check(&cluster, g, request.count)?;
    let others = groups.iter().filter(|other| other.name != g.name);
    let servers = request.count + others.map(|g| g.node_count).sum::<i64>();
    if request.count > g.node_count {
        size::check_fits(servers, request.prefix)?;
    }
    let uuid = cluster.uuid.clone();
    let before = g.node_count;
    let resize = Resize {
        sizes: &BTreeMap::from([(g.name.clone(), request.count)]),
        leave: request.leave,
    };
    start_resize(tx, d, ctx, cluster, &resize, infrastructure).await?;
    if request.rollback {
        table::set_rollback(tx, &uuid, Some(before), None).await?;
    }
    Ok(())
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
