//! The outbox: events written in the transaction of the change, delivered
//! afterwards by a dispatcher, at least once, in order.

use kernel::{Event, Result, clock, ids};

use crate::{Db, Tx, values};

/// An event that waits for delivery.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: String,
    pub seq: i64,
    pub event: Event,
}

/// Writes an event with the change that it tells of.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn outbox_push(tx: &mut Tx, event: &Event) -> Result<()> {
    tx.execute(
        "INSERT INTO outbox (seq, id, event_type, project_id, payload) VALUES (?, ?, ?, ?, ?)",
        values![
            clock::now_micros(),
            ids::uuid(),
            &event.event_type,
            event.project_id.clone(),
            event.payload.to_string()
        ],
    )
    .await?;
    tx.set_events();
    Ok(())
}

/// The oldest events, at most `limit`.
///
/// # Errors
/// As [`Db::query`].
pub async fn outbox_after(db: &Db, limit: u32) -> Result<Vec<OutboxRow>> {
    let rows = db
        .query(
            "SELECT seq, id, event_type, project_id, payload FROM outbox ORDER BY seq, id LIMIT ?",
            values![limit],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok(OutboxRow {
                id: r.text("id")?,
                seq: r.int("seq")?,
                event: Event {
                    event_type: r.text("event_type")?,
                    project_id: r.opt_text("project_id")?,
                    payload: r.json("payload")?,
                },
            })
        })
        .collect()
}

/// Removes a delivered event.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn outbox_drop(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM outbox WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
