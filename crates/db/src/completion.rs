//! Ends a run, and determines when its key is due again.

use std::time::Duration;

use kernel::Result;

use crate::value::micros;
use crate::{Db, Lease, values};

/// The next action for a key after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// Wait until the key is marked.
    Clean,
    /// Run again after this time or when marked.
    After(Duration),
    /// The row was deleted: delete the key.
    Gone,
    /// The run failed: run again after this time; the text is stored.
    Failed(Duration, String),
}

/// Ends a run and releases its key. A key that was marked during the run stays due,
/// whatever the outcome. The exception is a failed run: its key waits for the backoff,
/// unless a user operation has marked it.
///
/// # Errors
/// Same errors as [`crate::Tx::execute`].
pub async fn complete(db: &Db, lease: &Lease, outcome: &RunOutcome) -> Result<()> {
    let now = db.now_sql();
    let release = "owner = NULL, lease_until = 0";
    let own = "WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    // The statement for a key that was not marked meanwhile.
    let (finish, mut args) = match outcome {
        RunOutcome::Gone => (format!("DELETE FROM flow_key {own}"), vec![]),
        RunOutcome::Clean => (
            format!(
                "UPDATE flow_key SET {release}, due_at = NULL, attempts = 0, last_error = NULL {own}"
            ),
            vec![],
        ),
        RunOutcome::After(pause) => (
            format!(
                "UPDATE flow_key SET {release}, due_at = {now} + ?, attempts = 0, last_error = NULL {own}"
            ),
            values![micros(*pause)],
        ),
        RunOutcome::Failed(pause, why) => (
            format!(
                "UPDATE flow_key SET {release}, due_at = {now} + ?, attempts = ?, last_error = ? {own}"
            ),
            values![micros(*pause), lease.attempts + 1, why],
        ),
    };
    let key = values![&lease.kind, &lease.id, &lease.owner, lease.epoch];
    args.extend(key.clone());
    let unchanged = match outcome {
        RunOutcome::Failed(..) => {
            args.push(true.into());
            "AND urgent <> ?"
        }
        _ => {
            args.push(lease.generation.into());
            "AND generation = ?"
        }
    };
    let done: Result<()> = crate::write!(db, |tx| {
        if tx
            .execute(&format!("{finish} {unchanged}"), args.clone())
            .await?
            == 1
        {
            return Ok(());
        }
        // The key was marked meanwhile, so it stays due and is only released.
        let release_only =
            format!("UPDATE flow_key SET {release}, attempts = 0, last_error = NULL {own}");
        if tx.execute(&release_only, key.clone()).await? == 1 {
            tx.woken.add(&lease.kind, &lease.id, true);
        }
        Ok(())
    });
    lease.validity.end();
    done
}
