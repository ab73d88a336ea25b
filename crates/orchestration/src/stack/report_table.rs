//! SQL of the table `stack_unhealthy`: reports of unhealthy resources, which the next
//! update of their stack handles and deletes.

use db::{Db, Fenced, Row, Tx, values};
use kernel::Result;

use super::model::Unhealthy;
use crate::StackId;

/// The reports that were stored before the action of this traversal was accepted.
pub(crate) async fn load(db: &Db, stack_id: &StackId, traversal: i64) -> Result<Vec<Unhealthy>> {
    let rows = db
        .query(
            "SELECT resource_id, incident, reason FROM stack_unhealthy \
             WHERE stack_id = ? AND traversal < ? ORDER BY resource_id",
            values![stack_id, traversal],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Unhealthy> {
    Ok(Unhealthy {
        resource_id: row.text("resource_id")?.into(),
        incident: row.text("incident")?,
        reason: row.text("reason")?,
    })
}

/// Stores a report; an existing one of the same resource is overwritten.
pub(super) async fn put(
    tx: &mut Tx,
    stack_id: &StackId,
    traversal: i64,
    u: &Unhealthy,
) -> Result<()> {
    tx.execute(
        "DELETE FROM stack_unhealthy WHERE stack_id = ? AND resource_id = ?",
        values![stack_id, &u.resource_id],
    )
    .await?;
    tx.execute(
        "INSERT INTO stack_unhealthy (stack_id, resource_id, traversal, incident, reason) \
         VALUES (?, ?, ?, ?, ?)",
        values![stack_id, &u.resource_id, traversal, &u.incident, &u.reason],
    )
    .await
    .map(|_| ())
}

/// Deletes the reports that the action of this traversal has handled.
pub(crate) async fn remove(tx: &mut Fenced, stack_id: &StackId, traversal: i64) -> Result<()> {
    tx.execute(
        "DELETE FROM stack_unhealthy WHERE stack_id = ? AND traversal < ?",
        values![stack_id, traversal],
    )
    .await
    .map(|_| ())
}
