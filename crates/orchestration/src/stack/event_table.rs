//! SQL of the table `stack_event`.

use db::{Row, Tx, values};
use kernel::{Result, ids};

use super::Store;
use super::model::{EventRow, action_of, action_word, status_of, status_word};
use crate::face::StackEvent;

/// Events of a stack that are kept.
const KEEP: u32 = 1000;

/// `seq` orders events of one moment.
pub(crate) async fn insert(
    tx: &mut Tx,
    stack_id: &str,
    e: &EventRow,
    at: i64,
    seq: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO stack_event (id, stack_id, at, seq, resource, resource_type, physical_id, action, \
         status, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            ids::uuid(), stack_id, at, seq, &e.resource, &e.resource_type, e.physical_id.clone(),
            action_word(e.action), status_word(e.status), &e.reason
        ],
    )
    .await
    .map(|_| ())
}

/// The newest events, newest first.
pub(super) async fn newest(store: &Store, stack_id: &str, limit: u32) -> Result<Vec<StackEvent>> {
    let rows = store
        .db
        .query(
            "SELECT * FROM stack_event WHERE stack_id = ? ORDER BY at DESC, seq DESC LIMIT ?",
            values![stack_id, limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<StackEvent> {
    Ok(StackEvent {
        at: row.int("at")?,
        resource: row.text("resource")?,
        resource_type: row.text("resource_type")?,
        physical_id: row.opt_text("physical_id")?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("reason")?,
    })
}

/// Drops the oldest events above the limit.
pub(crate) async fn prune(tx: &mut Tx, stack_id: &str) -> Result<()> {
    let oldest = tx
        .query_opt(
            "SELECT at FROM stack_event WHERE stack_id = ? ORDER BY at DESC, seq DESC LIMIT 1 OFFSET ?",
            values![stack_id, KEEP],
        )
        .await?;
    if let Some(row) = oldest {
        tx.execute(
            "DELETE FROM stack_event WHERE stack_id = ? AND at <= ?",
            values![stack_id, row.int("at")?],
        )
        .await?;
    }
    Ok(())
}
