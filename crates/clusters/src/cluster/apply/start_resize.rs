//! Starts a resize: sizes, leaving and new nodes, tasks, status, event.

use std::collections::BTreeMap;

use db::Tx;
use kernel::{Ctx, Result};

use super::nodes;
use crate::ClustersDeps;
use crate::cluster::model::{Cluster, Intent};
use crate::cluster::operation;
use crate::cluster::plan::nodes::{Members, resize};
use crate::cluster::servers::Infrastructure;
use crate::notify::{self, Outcome};
use crate::{node, nodegroup};

/// New sizes of groups.
pub(crate) struct Resize<'a> {
    pub(crate) sizes: &'a BTreeMap<String, i64>,
    /// Names, ids, indices or addresses of nodes that should leave.
    pub(crate) leave: &'a [String],
}

/// Starts a resize in a transaction that has locked the cluster.
///
/// # Errors
/// Fails if the selection of nodes is not possible, or the database fails.
pub(crate) async fn start_resize(
    tx: &mut Tx,
    d: &ClustersDeps,
    ctx: &Ctx,
    mut cluster: Cluster,
    change: &Resize<'_>,
    infrastructure: &Infrastructure,
) -> Result<()> {
    let uuid = cluster.uuid.clone();
    let mut groups = nodegroup::table::of_cluster_tx(tx, &uuid).await?;
    let all = node::table::of_cluster_tx(tx, &uuid).await?;
    let before = Members {
        coe: cluster.engine()?,
        cluster: &cluster,
        groups: &groups,
        nodes: &all,
        networks: infrastructure.networks.as_ref(),
        in_error: &infrastructure.servers.in_error,
        not_running: &infrastructure.servers.not_running,
    };
    let steps = resize(before, change.sizes, change.leave)?;
    operation::start(tx, &mut cluster, Intent::Resize, None).await?;
    let rows = nodes::Rows {
        cluster: &cluster,
        groups: &mut groups,
        nodes: &all,
    };
    nodes::apply(tx, &d.sealer, rows, &steps).await?;
    nodes::store_sizes(tx, &groups, &steps).await?;
    let pending = Outcome::Pending;
    notify::push(tx, Some(ctx), "update", pending, &cluster, &groups).await
}
