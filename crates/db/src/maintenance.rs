//! Repairs of leases and due times, and the deletion of old rows.

use std::time::Duration;

use kernel::Result;

use crate::value::micros;
use crate::{Db, values};

/// A key that is due later than this was scheduled by a clock that has since
/// been set back; the same holds for leases that end later.
const FARTHEST: Duration = Duration::from_secs(15 * 60);
/// Retention of commit receipts.
const RECEIPTS: Duration = Duration::from_secs(3600);
/// Retention of undelivered events.
const EVENTS: Duration = Duration::from_secs(24 * 3600);
/// Retention of tombstones, which exceeds the delay of any call.
const TOMBSTONES: Duration = Duration::from_secs(24 * 3600);

/// Releases every lease. SQLite supports one process, so all leases at its start
/// belong to its predecessor.
///
/// # Errors
/// Same errors as [`crate::Tx::execute`].
pub async fn release_all(db: &Db) -> Result<()> {
    let now = db.now_sql();
    crate::write!(db, |tx| {
        tx.execute(
            "UPDATE flow_key SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL",
            vec![],
        )
        .await?;
        // The clock of the machine may have been set back while no server ran.
        tx.execute(
            &format!("UPDATE flow_key SET due_at = {now} WHERE due_at > {now}"),
            vec![],
        )
        .await?;
        Ok(())
    })
}

/// Periodic maintenance: repairs the effects of a clock that was set back, and
/// deletes old receipts and tombstones.
///
/// # Errors
/// Same errors as [`crate::Tx::execute`].
pub async fn maintain(db: &Db) -> Result<()> {
    let now = db.now_sql();
    let far = micros(FARTHEST);
    crate::write!(db, |tx| {
        tx.execute(
            &format!("UPDATE flow_key SET due_at = {now} WHERE due_at > {now} + ?"),
            values![far],
        )
        .await?;
        tx.execute(
            &format!(
                "UPDATE flow_key SET lease_until = 0 WHERE owner IS NOT NULL AND lease_until > {now} + ?"
            ),
            values![far],
        )
        .await?;
        tx.execute(
            &format!("DELETE FROM commit_receipt WHERE at < {now} - ?"),
            values![micros(RECEIPTS)],
        )
        .await?;
        // No event is consumed after this time.
        tx.execute(
            &format!("DELETE FROM outbox WHERE seq < {now} - ?"),
            values![micros(EVENTS)],
        )
        .await?;
        tx.execute(
            &format!("DELETE FROM call_generation WHERE removed_at < {now} - ?"),
            values![micros(TOMBSTONES)],
        )
        .await?;
        Ok(())
    })
}
