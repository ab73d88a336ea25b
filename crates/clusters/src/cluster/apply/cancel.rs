//! Cancels a change of the nodes that was not sent to the stack.

use db::Fenced;
use kernel::Result;

use super::nodes;
use super::run::Run;
use crate::cluster::plan::cancel::cancel as plan;
use crate::cluster::plan::nodes::Members;
use crate::cluster::plan::status::of_group;
use crate::cluster::{KIND, table};
use crate::node;
use crate::nodegroup::{self, default};
use crate::notify::{self, Outcome};
use crate::status::Phase;

/// Does nothing if a newer operation has started.
pub(super) async fn cancel(run: &Run<'_>, why: &str) -> Result<()> {
    let c = &run.cluster;
    db::fenced!(run.d.db, run.lease, |tx| {
        let row = table::lock(tx, &c.uuid).await?;
        if row.is_none_or(|row| row.generation != c.generation) {
            // A newer operation has started and will end separately.
            return Ok(());
        }
        restore_nodes(tx, run, why).await
    })
}

async fn restore_nodes(tx: &mut Fenced, run: &Run<'_>, why: &str) -> Result<()> {
    let c = &run.cluster;
    let mut groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
    let all = node::table::of_cluster_tx(tx, &c.uuid).await?;
    let before = Members {
        coe: run.coe,
        cluster: c,
        groups: &groups,
        nodes: &all,
        networks: None,
        in_error: &[],
        not_running: &[],
    };
    let sizes = c.rollback.map(default::sizes);
    let end = plan(before, &run.tasks, sizes.as_ref(), why);
    let rows = nodes::Rows {
        cluster: c,
        groups: &mut groups,
        nodes: &all,
    };
    node::table::drop_drains(tx, &c.uuid).await?;
    nodes::apply(tx, &run.d.sealer, rows, &end.steps).await?;
    nodes::store_sizes(tx, &groups, &end.steps).await?;
    table::set_status(tx, c, end.status, end.reason.as_deref()).await?;
    let failed = end.status.phase == Phase::Failed;
    for g in &groups {
        let concerned = failed && end.concerned.contains(&g.name);
        let status = of_group(end.status, concerned);
        nodegroup::table::finish(tx, g, status, concerned.then_some(why)).await?;
    }
    let mut after = c.clone();
    after.status = end.status.into();
    after.status_reason = end.reason;
    let outcome = if failed {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    notify::push(tx, None, "update", outcome, &after, &groups).await?;
    // The mark notifies agents that know about the leaving nodes.
    tx.wake(KIND, &c.uuid);
    Ok(())
}
