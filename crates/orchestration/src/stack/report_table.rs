//! SQL of the table `stack_unhealthy`: reports of unhealthy resources, until
//! the next update of their stack takes them.

use db::{Db, Fenced, Row, Tx, values};
use kernel::Result;

use super::model::Unhealthy;
use crate::StackId;

/// The reports before the acceptance of the action of this traversal.
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
        part: row.text("resource_id")?.into(),
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
        values![stack_id, &u.part],
    )
    .await?;
    tx.execute(
        "INSERT INTO stack_unhealthy (stack_id, resource_id, traversal, incident, reason) \
         VALUES (?, ?, ?, ?, ?)",
        values![stack_id, &u.part, traversal, &u.incident, &u.reason],
    )
    .await
    .map(|_| ())
}

/// Deletes the reports taken by the action of this traversal.
pub(crate) async fn remove(tx: &mut Fenced, stack_id: &StackId, traversal: i64) -> Result<()> {
    tx.execute(
        "DELETE FROM stack_unhealthy WHERE stack_id = ? AND traversal < ?",
        values![stack_id, traversal],
    )
    .await
    .map(|_| ())
}
