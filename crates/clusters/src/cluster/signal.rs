//! What nodes tell, passed on to the wait condition of the stack.

use db::Lease;
use kernel::{Ctx, Result};
use orchestration::face::Signal;
use serde_json::Value;

use super::model::Cluster;
use crate::ClustersDeps;
use crate::coe::hot::HANDLE;
use crate::node::{self, Node};

/// Tells the wait condition what a node has told, and remembers that, in the
/// request of its agent.
///
/// # Errors
/// As the stack and the database.
pub(crate) async fn signal(d: &ClustersDeps, ctx: &Ctx, cluster: &Cluster, n: &Node) -> Result<()> {
    let Some(status) = tell(d, ctx, cluster, n).await? else {
        return Ok(());
    };
    db::write!(d.db, |tx| node::table::set_signalled(tx, &n.id, status)
        .await)
}

/// As [`signal`] for the reconciler: what the agent's request has not managed.
/// `ctx` carries the epoch of its run.
///
/// # Errors
/// As the stack and the database.
pub(crate) async fn repeat(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    cluster: &Cluster,
    n: &Node,
) -> Result<()> {
    let Some(status) = tell(d, ctx, cluster, n).await? else {
        return Ok(());
    };
    db::fenced!(d.db, lease, |tx| {
        node::table::set_signalled(tx, &n.id, status).await
    })
}

/// Answers what the stack was told, if there is something to tell.
async fn tell<'a>(
    d: &ClustersDeps,
    ctx: &Ctx,
    cluster: &Cluster,
    n: &'a Node,
) -> Result<Option<&'a str>> {
    let Some(status) = n.signal.as_deref() else {
        return Ok(None);
    };
    let reason = match n.cause(cluster.engine()?) {
        Some(cause) if status == "FAILURE" => cause,
        _ => format!("{} is ready", n.name),
    };
    let word = Signal {
        id: n.name.clone(),
        status: status.to_owned(),
        reason,
        data: Value::Null,
    };
    d.orchestration
        .stacks
        .signal(ctx, &cluster.stack_id, HANDLE, word)
        .await?;
    Ok(Some(status))
}
