//! Repeats aborted transactions, and resolves unknown outcomes by receipts.

use std::time::Duration;

use kernel::{Error, Kind, Result, ids};

use crate::{Db, Tx};

/// Maximum number of attempts of an aborted transaction.
const TRIES: u32 = 12;
/// Delay before the first repeat; doubles up to 32 times this value.
const PAUSE: Duration = Duration::from_millis(4);

/// Counts attempts of a transaction; used by [`crate::write!`] and
/// [`crate::fenced!`].
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Returns whether a failed transaction should be repeated, after a delay.
    pub async fn should_retry(&mut self, db: &Db, e: &Error) -> bool {
        if e.kind != Kind::Aborted || self.0 >= TRIES || !db.safeguards().retry {
            return false;
        }
        let doubled = PAUSE.saturating_mul(1 << self.0.min(5));
        self.0 += 1;
        db.count_retry();
        tokio::time::sleep(doubled.mul_f64(0.5 + ids::jitter())).await;
        true
    }
}

/// Commits a transaction whose body succeeded; used by [`crate::write!`]. An
/// unknown outcome is resolved by the receipt, if there is one.
///
/// # Errors
/// As [`Tx::commit`]; `Aborted` if the receipt shows that nothing was written.
pub async fn commit_with_receipt(db: &Db, tx: Tx) -> Result<()> {
    let receipt = tx.receipt.clone();
    let woken = tx.woken.clone();
    let unknown = match (tx.commit().await, receipt) {
        (Err(e), Some(receipt)) if e.kind == Kind::OutcomeUnknown => (e, receipt),
        (done, _) => return done,
    };
    let (error, receipt) = unknown;
    for attempt in 0..TRIES {
        let found = db
            .query_opt(
                "SELECT id FROM commit_receipt WHERE id = ?",
                crate::values![&receipt],
            )
            .await;
        match found {
            Ok(Some(_)) => {
                db.announce(woken);
                return Ok(());
            }
            Ok(None) => return Err(Error::new(Kind::Aborted, error.message)),
            Err(_) => {
                let pause = PAUSE.saturating_mul(1 << attempt.min(5));
                tokio::time::sleep(pause.saturating_mul(4)).await;
            }
        }
    }
    Err(error)
}

/// Runs a write transaction and repeats it as a whole if the database aborts it
/// (deadlock, serialization failure). The body is an async block: it may use
/// `?`, may run several times, and must have no effect other than SQL.
///
/// ```ignore
/// db::write!(db, |tx| {
///     db::mark_now(tx, KIND, id).await?;
///     table::set_name(tx, id, name).await
/// })
/// ```
#[macro_export]
macro_rules! write {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let mut attempts = $crate::Attempts::default();
        loop {
            let outcome: ::kernel::Result<_> = async {
                let mut transaction = database.begin().await?;
                let value: ::kernel::Result<_> = {
                    let $tx: &mut $crate::Tx = &mut transaction;
                    async { $body }.await
                };
                let value = value?;
                $crate::commit_with_receipt(database, transaction).await?;
                Ok(value)
            }
            .await;
            match outcome {
                Err(e) if attempts.should_retry(database, &e).await => {}
                done => break done,
            }
        }
    }};
}
