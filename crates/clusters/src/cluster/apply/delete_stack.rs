//! Deletes the stack of a cluster, then its rows.

use std::time::Duration;

use flow::Next;
use kernel::{Error, Result};

use super::run::Run;
use crate::cluster::plan::status::Progress;
use crate::cluster::table;
use crate::nodegroup;
use crate::notify::{self, Outcome};

/// Delay between attempts to delete a stack whose deletion failed.
const DELETE_RETRY: Duration = Duration::from_secs(5);

pub(super) async fn delete_stack(run: &Run<'_>, retry: Option<&str>) -> Result<Next> {
    let stacks = &run.d.orchestration.stacks;
    stacks.delete(&run.ctx, &run.cluster.stack_id).await?;
    let why = match retry {
        Some(why) => format!("Trying again after: {why}"),
        None => "Waiting for the stack of the cluster to be removed.".to_owned(),
    };
    run.report(Progress::Waiting(&why)).await?;
    Ok(Next::After(DELETE_RETRY))
}

pub(super) async fn report_failure(run: &Run<'_>, why: &str) -> Result<Next> {
    run.report(Progress::Retrying(why)).await?;
    Ok(Next::After(DELETE_RETRY))
}

/// Deletes all rows of the cluster.
pub(super) async fn purge(run: &Run<'_>) -> Result<Next> {
    block_stack_creation(run).await?;
    let c = &run.cluster;
    db::fenced!(run.d.db, run.lease, |tx| {
        let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
        notify::push(tx, None, "delete", Outcome::Success, c, &groups).await?;
        table::purge(tx, &c.uuid).await
    })?;
    Ok(Next::Gone)
}

/// Prevents a delayed creation of the stack after the cluster is deleted.
async fn block_stack_creation(run: &Run<'_>) -> Result<()> {
    let stacks = &run.d.orchestration.stacks;
    match stacks.delete(&run.ctx, &run.cluster.stack_id).await {
        Err(e) if e.is_not_found() => Ok(()),
        // The creation took place first: the next run deletes the stack.
        Ok(()) => Err(Error::unavailable(
            "The stack of the cluster was created after its deletion.",
        )),
        Err(e) => Err(e),
    }
}
