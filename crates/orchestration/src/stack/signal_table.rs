//! SQL of the table `stack_signal`.

use db::{Row, Tx, values};
use kernel::Result;

use super::Store;
use super::model::SignalRow;
use crate::Sealer;

/// The signals of a stack, oldest first.
pub(crate) async fn load(store: &Store, stack_id: &str) -> Result<Vec<SignalRow>> {
    let rows = store
        .db
        .query(
            "SELECT * FROM stack_signal WHERE stack_id = ? ORDER BY at, signal_id",
            values![stack_id],
        )
        .await?;
    rows.iter()
        .map(|r| read(store.sealer.as_ref(), r))
        .collect()
}

fn read(sealer: &dyn Sealer, row: &Row) -> Result<SignalRow> {
    Ok(SignalRow {
        handle: row.text("handle")?,
        id: row.text("signal_id")?,
        status: row.text("status")?,
        reason: row.text("reason")?,
        data: serde_json::from_str(&sealer.open(&row.text("data_sealed")?)?)?,
        at: row.int("at")?,
    })
}

/// Stores a signal; one of the same id is overwritten.
pub(super) async fn put(
    tx: &mut Tx,
    sealer: &dyn Sealer,
    stack_id: &str,
    s: &SignalRow,
) -> Result<()> {
    tx.execute(
        "DELETE FROM stack_signal WHERE stack_id = ? AND handle = ? AND signal_id = ?",
        values![stack_id, &s.handle, &s.id],
    )
    .await?;
    tx.execute(
        "INSERT INTO stack_signal (stack_id, handle, signal_id, status, reason, data_sealed, at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![
            stack_id,
            &s.handle,
            &s.id,
            &s.status,
            &s.reason,
            sealer.seal(&s.data.to_string())?,
            s.at
        ],
    )
    .await
    .map(|_| ())
}
