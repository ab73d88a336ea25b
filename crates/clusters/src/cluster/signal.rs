//! What nodes tell, passed on to the wait condition of the stack.

use kernel::{Ctx, Result};
use orchestration::face::Signal;
use serde_json::Value;

use super::model::Cluster;
use crate::ClustersDeps;
use crate::coe::hot::HANDLE;
use crate::node::{self, Node};

/// Tells the wait condition what a node has told, and remembers that. `ctx`
/// carries the epoch of a reconciler's run; an agent's request has none.
///
/// # Errors
/// As the stack and the database.
pub(crate) async fn signal(d: &ClustersDeps, ctx: &Ctx, cluster: &Cluster, n: &Node) -> Result<()> {
    let Some(status) = &n.signal else {
        return Ok(());
    };
    let reason = match n.cause(cluster.engine()?) {
        Some(cause) if status == "FAILURE" => cause,
        _ => format!("{} is ready", n.name),
    };
    let word = Signal {
        id: n.name.clone(),
        status: status.clone(),
        reason,
        data: Value::Null,
    };
    d.orchestration
        .stacks
        .signal(ctx, &cluster.stack_id, HANDLE, word)
        .await?;
    let mut tx = d.db.begin().await?;
    node::table::set_signalled(&mut tx, &n.id, status).await?;
    tx.commit().await
}
