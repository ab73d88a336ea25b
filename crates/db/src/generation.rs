//! Ordering of calls between services: an older call cannot undo a newer one,
//! and removed objects stay removed.
//!
//! The caller generates the id of each object before it calls, and sends its
//! generation, which grows with each run of the reconciler that owns the
//! object. The called service stores the newest generation of each object, and
//! for a limited time the ids of removed objects.

use kernel::{Error, Result};

use crate::{Dialect, Tx, values};

/// Checks a call that creates or changes an object. `generation` is that of the
/// caller, or `None` for a user.
///
/// # Errors
/// `Conflict` if a newer call was accepted before, or the object was removed.
pub async fn check_generation(
    tx: &mut Tx,
    kind: &str,
    id: &str,
    generation: Option<i64>,
) -> Result<()> {
    remember(tx, kind, id, generation, false).await
}

/// Records the removal of an object, which cannot be created again afterwards.
/// Unknown objects are recorded, too, because their creation may be delayed.
///
/// # Errors
/// `Conflict` if a newer call was accepted before.
pub async fn record_tombstone(
    tx: &mut Tx,
    kind: &str,
    id: &str,
    generation: Option<i64>,
) -> Result<()> {
    remember(tx, kind, id, generation, true).await
}

async fn remember(
    tx: &mut Tx,
    kind: &str,
    id: &str,
    generation: Option<i64>,
    removed: bool,
) -> Result<()> {
    let safeguards = tx.db().safeguards();
    let found = tx
        .lock_opt(
            "SELECT generation, removed_at FROM call_generation WHERE kind = ? AND id = ?",
            values![kind, id],
        )
        .await?;
    let now = tx.db().now_sql();
    let newest = found.as_ref().map_or(Ok(0), |row| row.int("generation"))?;
    let late = safeguards.generation && generation.is_some_and(|g| g < newest);
    if removed && !safeguards.tombstone && !late {
        // Without tombstones there is no record of a removed object.
        let sql = "DELETE FROM call_generation WHERE kind = ? AND id = ?";
        return tx.execute(sql, values![kind, id]).await.map(|_| ());
    }
    let Some(row) = found else {
        let at = if removed { now } else { "NULL" };
        let head = match tx.dialect() {
            Dialect::Mysql => "INSERT IGNORE INTO",
            _ => "INSERT INTO",
        };
        let tail = match tx.dialect() {
            Dialect::Mysql => "",
            _ => " ON CONFLICT (kind, id) DO NOTHING",
        };
        let inserted = tx
            .execute(
                &format!(
                    "{head} call_generation (kind, id, generation, removed_at) VALUES (?, ?, ?, {at}){tail}"
                ),
                values![kind, id, generation.unwrap_or(0)],
            )
            .await?;
        if inserted == 1 {
            return Ok(());
        }
        // Another call inserted the row concurrently.
        return Err(Error::new(
            kernel::Kind::Aborted,
            "Another call changed the same object concurrently; try again.",
        ));
    };
    if late {
        return Err(Error::conflict(format!(
            "The {kind} {id} was changed by a newer call; this older call is refused."
        )));
    }
    if !removed && row.opt_int("removed_at")?.is_some() {
        return Err(Error::conflict(format!(
            "The {kind} {id} was removed; this older call is refused."
        )));
    }
    let at = if removed {
        format!("COALESCE(removed_at, {now})")
    } else {
        "removed_at".to_owned()
    };
    tx.execute(
        &format!(
            "UPDATE call_generation SET generation = ?, removed_at = {at} WHERE kind = ? AND id = ?"
        ),
        values![newest.max(generation.unwrap_or(0)), kind, id],
    )
    .await
    .map(|_| ())
}
