//! The start of an operation on a cluster.

use db::Tx;
use kernel::{Error, Result, clock};

use super::model::{Cluster, Intent};
use super::plan::status::{Progress, of_cluster};
use super::table;
use crate::{ClusterId, nodegroup};

/// Locks a cluster and checks that it is still as it was when the operation was
/// checked.
///
/// # Errors
/// `NotFound`; `Conflict` if another operation changed the cluster.
pub(crate) async fn lock_unchanged(tx: &mut Tx, found: &Cluster) -> Result<Cluster> {
    let row = table::lock(tx, &found.uuid).await?;
    let row = row.ok_or_else(|| Error::not_found("Cluster", &found.uuid))?;
    same_generation(found, &row)?;
    Ok(row)
}

/// # Errors
/// `Conflict` if another operation has started since `found` was read.
pub(crate) fn same_generation(found: &Cluster, now: &Cluster) -> Result<()> {
    if found.generation == now.generation {
        return Ok(());
    }
    Err(concurrent_change(&now.uuid))
}

fn concurrent_change(uuid: &ClusterId) -> Error {
    Error::conflict(format!(
        "Cluster {uuid} was changed at the same time; look at it and try again."
    ))
}

/// Starts an operation in a transaction that has marked the key of the cluster
/// and locked its row.
///
/// # Errors
/// `Conflict` if another operation has started.
pub(crate) async fn start(
    tx: &mut Tx,
    cluster: &mut Cluster,
    intent: Intent,
    reason: Option<&str>,
) -> Result<()> {
    let next = Cluster {
        intent,
        rollback: None,
        cause: None,
        ..cluster.clone()
    };
    let (status, reason) = of_cluster(&next, Progress::Started(reason));
    if !table::start(tx, cluster, intent, (status, reason.as_deref())).await? {
        return Err(concurrent_change(&cluster.uuid));
    }
    *cluster = Cluster {
        generation: cluster.generation + 1,
        status: status.into(),
        status_reason: reason,
        updated_at: Some(clock::now()),
        ..next
    };
    nodegroup::table::start(tx, &cluster.uuid, status).await
}
