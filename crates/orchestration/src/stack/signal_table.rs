//! SQL of the table `stack_signal`.

use db::{Row, Tx, values};
use kernel::Result;

use super::Store;
use super::model::{SignalRow, SignalStatus, Signals};
use crate::{Sealer, StackId};

/// Adds the signals that were stored since the last load.
pub(crate) async fn load(store: &Store, stack_id: &StackId, known: &mut Signals) -> Result<()> {
    // An earlier release without sequence numbers stored 0.
    let rows = store
        .db
        .query(
            "SELECT * FROM stack_signal WHERE stack_id = ? AND (seq > ? OR seq = 0) ORDER BY seq",
            values![stack_id, known.newest],
        )
        .await?;
    for row in &rows {
        let signal = read(store.sealer.as_ref(), row)?;
        known.newest = known.newest.max(row.int("seq")?);
        known.put(signal);
    }
    Ok(())
}

fn read(sealer: &dyn Sealer, row: &Row) -> Result<SignalRow> {
    Ok(SignalRow {
        handle: row.text("handle")?,
        id: row.text("signal_id")?,
        status: SignalStatus::parse(&row.text("status")?)?,
        reason: row.text("reason")?,
        data: serde_json::from_str(&sealer.open(&row.text("data_sealed")?)?)?,
        at: row.time("at")?,
    })
}

/// Stores a signal; an existing one of the same id is overwritten, unless a
/// newer call (`generation` of the caller) wrote it. Returns whether it was
/// stored. The key of the stack is marked first, which serialises the signals
/// of a stack.
pub(super) async fn put(
    tx: &mut Tx,
    sealer: &dyn Sealer,
    stack_id: &StackId,
    s: &SignalRow,
    generation: Option<i64>,
) -> Result<bool> {
    let found = tx
        .query_opt(
            "SELECT generation FROM stack_signal WHERE stack_id = ? AND handle = ? AND signal_id = ?",
            values![stack_id, &s.handle, &s.id],
        )
        .await?;
    let newest = found.map_or(Ok(0), |r| r.int("generation"))?;
    if generation.is_some_and(|g| g < newest) {
        return Ok(false);
    }
    let last = tx
        .query_opt(
            "SELECT MAX(seq) AS seq FROM stack_signal WHERE stack_id = ?",
            values![stack_id],
        )
        .await?;
    let seq = last.map(|r| r.opt_int("seq")).transpose()?.flatten();
    tx.execute(
        "DELETE FROM stack_signal WHERE stack_id = ? AND handle = ? AND signal_id = ?",
        values![stack_id, &s.handle, &s.id],
    )
    .await?;
    tx.execute(
        "INSERT INTO stack_signal (stack_id, handle, signal_id, status, reason, data_sealed, at, seq, \
         generation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            stack_id,
            &s.handle,
            &s.id,
            s.status.as_stored(),
            &s.reason,
            sealer.seal(&s.data.to_string())?,
            s.at,
            seq.unwrap_or(0) + 1,
            newest.max(generation.unwrap_or(0))
        ],
    )
    .await?;
    Ok(true)
}
