//! Forwards the results of nodes to the wait condition of the stack.

use db::Lease;
use kernel::{Ctx, Result};
use orchestration::api::Signal;
use serde_json::Value;

use super::model::Cluster;
use crate::ClustersDeps;
use crate::coe::hot::HANDLE;
use crate::node::{self, Node};

/// Signals the wait condition with the result of a node and records the signal,
/// within the request of its agent.
///
/// # Errors
/// Fails if the stack or the database fails.
pub(crate) async fn signal(d: &ClustersDeps, ctx: &Ctx, cluster: &Cluster, n: &Node) -> Result<()> {
    let Some(status) = send_signal(d, ctx, cluster, n).await? else {
        return Ok(());
    };
    db::write!(d.db, |tx| node::table::set_signalled(tx, &n.id, status)
        .await)
}

/// As [`signal`] for the reconciler, which repeats a signal that failed in the
/// request of the agent. `ctx` carries the epoch of the run.
///
/// # Errors
/// Fails if the stack or the database fails.
pub(crate) async fn repeat(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    cluster: &Cluster,
    n: &Node,
) -> Result<()> {
    let Some(status) = send_signal(d, ctx, cluster, n).await? else {
        return Ok(());
    };
    db::fenced!(d.db, lease, |tx| {
        node::table::set_signalled(tx, &n.id, status).await
    })
}

/// Sends the signal if it is due, and returns it.
async fn send_signal<'a>(
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
