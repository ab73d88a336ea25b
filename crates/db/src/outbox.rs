//! The outbox: events written in the transaction of a change and delivered
//! later by a dispatcher, at least once and in order.

use kernel::{Event, Result, clock, ids};

use crate::{Db, Tx, values};

/// An undelivered event.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: String,
    pub seq: i64,
    pub event: Event,
}

/// Inserts an event in the transaction of the change that it describes.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub async fn outbox_push(tx: &mut Tx, event: &Event) -> Result<()> {
    tx.execute(
        "INSERT INTO outbox (seq, id, event_type, project_id, payload) VALUES (?, ?, ?, ?, ?)",
        values![
            clock::now(),
            ids::uuid(),
            &event.event_type,
            event.project_id.as_ref(),
            event.payload.to_string()
        ],
    )
    .await?;
    tx.set_events();
    Ok(())
}

/// The oldest undelivered events, at most `limit`.
///
/// # Errors
/// Same errors as [`Db::query`].
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
                    project_id: r.opt_text("project_id")?.map(Into::into),
                    payload: r.json("payload")?,
                },
            })
        })
        .collect()
}

/// Deletes a delivered event.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub async fn outbox_drop(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM outbox WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
