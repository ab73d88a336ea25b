//! Dirty keys and leases with epochs.
//!
//! A key is marked dirty in the transaction of a change that needs work. A
//! worker claims it by compare-and-swap (SQLite has no row locks), which
//! increments the epoch; every write of the run is fenced by the epoch. All
//! times are times of the database, so that clocks of servers do not matter.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use crate::{Db, Dialect, LeaseLost, Validity, Value, values};

/// A key that is due later than this was scheduled by a clock that has since
/// been set back; the same holds for leases that end later.
const FARTHEST: Duration = Duration::from_secs(15 * 60);
/// Retention of commit receipts.
const RECEIPTS: Duration = Duration::from_secs(3600);
/// Retention of undelivered events.
const EVENTS: Duration = Duration::from_secs(24 * 3600);
/// Retention of tombstones, which exceeds the delay of any call.
const TOMBSTONES: Duration = Duration::from_secs(24 * 3600);

/// A key leased to one worker.
#[derive(Debug, Clone)]
pub struct Lease {
    pub kind: String,
    pub id: String,
    pub owner: String,
    /// Incremented with each claim; a write with an old epoch fails.
    pub epoch: i64,
    /// The generation of the key that this run handles.
    pub generation: i64,
    /// Number of consecutive failed runs before this one.
    pub attempts: i64,
    /// The project of the object, if known.
    pub tenant: Option<String>,
    pub(crate) validity: Validity,
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, &self.id, &self.owner, self.epoch)
            == (&other.kind, &other.id, &other.owner, other.epoch)
    }
}

impl Lease {
    /// Until when this process may act under the lease.
    #[must_use]
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// Polls `work` only while the lease is held. The driver wraps each run in
    /// it; a future that a run spawns as a separate task needs a separate
    /// guard.
    ///
    /// # Errors
    /// `LeaseLost` if the lease ended first; `work` is dropped.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, LeaseLost> {
        self.validity.guard(work).await
    }
}

/// The next action for a key after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// Nothing until the key is marked.
    Clean,
    /// Run again after this time or when marked.
    After(Duration),
    /// The row was deleted: delete the key.
    Gone,
    /// The run failed: run again after this time; the text is stored.
    Failed(Duration, String),
}

/// Time until the next key of these kinds is due or its lease ends; `None`:
/// there is none.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn next_due(db: &Db, kinds: &[&str]) -> Result<Option<Duration>> {
    let now = db.now_sql();
    let row = db
        .query_opt(
            &format!(
                "SELECT MIN(CASE WHEN owner IS NULL OR lease_until < {now} OR due_at > lease_until \
                 THEN due_at ELSE lease_until END) - {now} AS pause \
                 FROM flow_key WHERE due_at IS NOT NULL AND kind IN ({})",
                placeholders(kinds.len())
            ),
            kinds.iter().map(|k| Value::from(*k)).collect(),
        )
        .await?;
    let pause = row.map(|r| r.opt_int("pause")).transpose()?.flatten();
    Ok(pause.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// Extends the leases of active runs, over separate connections. Ends the
/// validity of lost leases and returns their number.
///
/// # Errors
/// Same errors as [`crate::Tx::execute`].
pub async fn renew(db: &Db, owner: &str, alive: &[Lease], duration: Duration) -> Result<usize> {
    let db = &db.for_leases();
    let now = db.now_sql();
    let asked = Instant::now();
    // A key locked by a transaction of its run is renewed next time.
    let skip = match db.dialect() {
        Dialect::Sqlite => "",
        Dialect::Postgres | Dialect::Mysql => " FOR UPDATE SKIP LOCKED",
    };
    let select = "SELECT kind, id, epoch FROM flow_key WHERE owner = ?";
    let held = crate::write!(db, |tx| {
        let rows = tx.query(&format!("{select}{skip}"), values![owner]).await?;
        let mut held = Vec::with_capacity(rows.len());
        for row in rows {
            let key = (row.text("kind")?, row.text("id")?, row.int("epoch")?);
            let lives = |l: &&Lease| (&l.kind, &l.id, l.epoch) == (&key.0, &key.1, key.2);
            // A lease of the same owner with another epoch is not renewed,
            // because its run may have ended.
            if alive.iter().any(|l| lives(&l)) {
                held.push(key);
            }
        }
        held.sort();
        for some in held.chunks(100) {
            let keys = vec!["(kind = ? AND id = ? AND epoch = ?)"; some.len()].join(" OR ");
            let mut args = values![micros(duration), owner];
            for (kind, id, epoch) in some {
                args.extend(values![kind, id, *epoch]);
            }
            tx.execute(
                &format!(
                    "UPDATE flow_key SET lease_until = {now} + ? WHERE owner = ? AND ({keys})"
                ),
                args,
            )
            .await?;
        }
        Ok(held)
    })?;
    let held: BTreeSet<_> = held.into_iter().collect();
    let (renewed, rest): (Vec<&Lease>, Vec<&Lease>) = alive
        .iter()
        .partition(|l| held.contains(&(l.kind.clone(), l.id.clone(), l.epoch)));
    for lease in renewed {
        lease.validity.extend(asked, duration);
    }
    if rest.is_empty() {
        return Ok(0);
    }
    // The key is locked or the lease is lost; a read distinguishes the two.
    let mut owned = BTreeSet::new();
    for row in db.query(select, values![owner]).await? {
        owned.insert((row.text("kind")?, row.text("id")?, row.int("epoch")?));
    }
    let mut lost = 0;
    for lease in rest {
        if !owned.contains(&(lease.kind.clone(), lease.id.clone(), lease.epoch)) {
            lost += usize::from(lease.validity.holds());
            lease.validity.end();
        }
    }
    Ok(lost)
}

/// Ends a run. A key that was marked during the run stays due; after a failed
/// run it waits for the backoff, unless a user operation marked it.
///
/// # Errors
/// Same errors as [`crate::Tx::execute`].
pub async fn complete(db: &Db, lease: &Lease, outcome: &RunOutcome) -> Result<()> {
    let now = db.now_sql();
    let free = "owner = NULL, lease_until = 0";
    let own = "WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    // If the key was not marked meanwhile …
    let (quiet, mut args) = match outcome {
        RunOutcome::Gone => (format!("DELETE FROM flow_key {own}"), vec![]),
        RunOutcome::Clean => (
            format!(
                "UPDATE flow_key SET {free}, due_at = NULL, attempts = 0, last_error = NULL {own}"
            ),
            vec![],
        ),
        RunOutcome::After(pause) => (
            format!(
                "UPDATE flow_key SET {free}, due_at = {now} + ?, attempts = 0, last_error = NULL {own}"
            ),
            values![micros(*pause)],
        ),
        RunOutcome::Failed(pause, why) => (
            format!(
                "UPDATE flow_key SET {free}, due_at = {now} + ?, attempts = ?, last_error = ? {own}"
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
            .execute(&format!("{quiet} {unchanged}"), args.clone())
            .await?
            == 1
        {
            return Ok(());
        }
        // … otherwise it is still due.
        let rest = format!("UPDATE flow_key SET {free}, attempts = 0, last_error = NULL {own}");
        if tx.execute(&rest, key.clone()).await? == 1 {
            tx.woken.add(&lease.kind, &lease.id, true);
        }
        Ok(())
    });
    lease.validity.end();
    done
}

/// Releases every lease. SQLite has one process, so all leases at its start
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

/// Placeholders of a list of `n` values.
pub(crate) fn placeholders(n: usize) -> String {
    vec!["?"; n].join(", ")
}

pub(crate) fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}
