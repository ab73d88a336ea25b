//! Starts a rollback: one transaction writes leaving and new nodes, and the
//! reconciler continues as for a resize. If the update was not sent to the
//! stack, it is cancelled.

use db::Fenced;
use kernel::Result;

use super::run::Run;
use super::{cancel, nodes};
use crate::cluster::model::Intent;
use crate::cluster::plan::nodes::{Members, roll_back as plan};
use crate::cluster::plan::{NodeStep, settle};
use crate::cluster::servers::Infrastructure;
use crate::cluster::{KIND, operation, table};
use crate::node;
use crate::nodegroup::{self, default};

pub(super) async fn roll_back(run: &Run<'_>, why: &str) -> Result<()> {
    let c = &run.cluster;
    if c.sent_generation < c.generation {
        return cancel::cancel(run, why).await;
    }
    let infrastructure = Infrastructure::load(run.d, c).await?;
    db::fenced!(run.d.db, run.lease, |tx| start(
        tx,
        run,
        &infrastructure,
        why
    )
    .await)
}

async fn start(
    tx: &mut Fenced,
    run: &Run<'_>,
    infrastructure: &Infrastructure,
    why: &str,
) -> Result<()> {
    let c = &run.cluster;
    let Some(mut cluster) = table::lock(tx, &c.uuid).await? else {
        return Ok(());
    };
    if cluster.generation != c.generation {
        // A newer operation has started and will end separately.
        return Ok(());
    }
    db::mark(tx, KIND, &c.uuid).await?;
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let all = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let (_, cause) = settle::causes(run.coe, &groups, &all, why);
    let before = Members {
        coe: run.coe,
        cluster: c,
        groups: &groups,
        nodes: &all,
        networks: infrastructure.networks.as_ref(),
        in_error: &infrastructure.servers.in_error,
        not_running: &infrastructure.servers.not_running,
    };
    let sizes = c.rollback.map(default::sizes).unwrap_or_default();
    let steps = plan(before, &sizes)?;
    let number = |wanted: fn(&NodeStep) -> bool| steps.iter().filter(|s| wanted(s)).count();
    tracing::info!(
        cluster = c.uuid.as_str(),
        leave = number(|s| matches!(s, NodeStep::Remove { .. })),
        come = number(|s| matches!(s, NodeStep::Add { .. })),
        "an update failed and is rolled back: {cause}"
    );
    operation::start(tx, &mut cluster, Intent::Rollback, Some(&cause)).await?;
    table::set_rollback(tx, &c.uuid, None, Some(&cause)).await?;
    // Agents conclude from a failed drain that the other drains are cancelled.
    node::table::drop_drains(tx, &c.uuid).await?;
    let rows = nodes::Rows {
        cluster: &cluster,
        groups: &mut groups,
        nodes: &all,
    };
    nodes::apply(tx, &run.d.sealer, rows, &steps).await?;
    nodes::store_sizes(tx, &groups, &steps).await
}
