//! SQL of the table `stack_event`.

use db::{Fenced, Row, Tx, Value, values};
use kernel::{Result, Timestamp, ids};

use super::model::{EventRow, action_of, action_word, status_of, status_word};
use super::{Store, batches};
use crate::StackId;
use crate::api::StackEvent;

/// Maximum number of events kept per stack.
pub(crate) const MAX_EVENTS: usize = 1000;

const COLUMNS: [&str; 10] = [
    "id",
    "stack_id",
    "at",
    "seq",
    "resource",
    "resource_type",
    "physical_id",
    "action",
    "status",
    "reason",
];

/// Inserts events with the same time; `seq` is the first sequence number.
pub(crate) async fn insert(
    tx: &mut Tx,
    stack_id: &StackId,
    events: &[EventRow],
    at: Timestamp,
    seq: i64,
) -> Result<()> {
    let rows: Vec<Vec<Value>> = events
        .iter()
        .zip(seq..)
        .map(|(e, seq)| {
            values![
                ids::uuid(),
                stack_id,
                at,
                seq,
                &e.resource,
                &e.resource_type,
                e.physical_id.clone(),
                action_word(e.action),
                status_word(e.status),
                &e.reason
            ]
        })
        .collect();
    batches::insert(tx, "stack_event", &COLUMNS, &rows, "").await
}

/// The newest events, newest first.
pub(super) async fn newest(
    store: &Store,
    stack_id: &StackId,
    limit: u32,
) -> Result<Vec<StackEvent>> {
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
        at: row.time("at")?,
        resource: row.text("resource")?,
        resource_type: row.text("resource_type")?,
        physical_id: row.opt_text("physical_id")?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("reason")?,
    })
}

/// Deletes the oldest events beyond the limit.
pub(crate) async fn prune(tx: &mut Fenced, stack_id: &StackId) -> Result<()> {
    let limit = i64::try_from(MAX_EVENTS).unwrap_or(i64::MAX);
    let oldest = tx
        .query_opt(
            "SELECT at, seq FROM stack_event WHERE stack_id = ? ORDER BY at DESC, seq DESC LIMIT 1 OFFSET ?",
            values![stack_id, limit],
        )
        .await?;
    if let Some(row) = oldest {
        let (at, seq) = (row.time("at")?, row.int("seq")?);
        tx.execute(
            "DELETE FROM stack_event WHERE stack_id = ? AND (at < ? OR at = ? AND seq <= ?)",
            values![stack_id, at, at, seq],
        )
        .await?;
    }
    Ok(())
}
