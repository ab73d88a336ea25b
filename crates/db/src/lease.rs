//! Dirty keys and leases with epochs.
//!
//! A key is made dirty in the transaction of the change that needs work. A
//! worker claims it by compare-and-swap (row locks do not exist on SQLite),
//! which raises the epoch; every write of the run is fenced by it.

use kernel::{Result, clock};

use crate::{Db, Dialect, Tx, Value, values};

/// A key that is leased to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub kind: String,
    pub id: String,
    pub owner: String,
    /// Grows at each claim; a write with an old epoch fails.
    pub epoch: i64,
    /// The generation of the key that this run answers.
    pub generation: i64,
    /// Failed runs in a row before this one.
    pub attempts: i64,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claim {
    pub leases: Vec<Lease>,
    /// When the next key is due, microseconds; `None`: nothing is waiting.
    pub next_due: Option<i64>,
}

/// What remains to do when a run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dirty {
    /// Nothing until somebody marks the key.
    Clean,
    /// Run again at this time (microseconds) or when marked.
    At(i64),
    /// The row is gone: forget the key.
    Gone,
    /// The run failed: run again at this time; the text is kept.
    Failed(i64, String),
}

/// Marks a key dirty: a worker runs it as soon as the transaction commits.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn mark(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    mark_at(tx, kind, id, clock::now_micros()).await
}

/// As [`mark`], but not before `due` (microseconds), unless it is due earlier.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn mark_at(tx: &mut Tx, kind: &str, id: &str, due: i64) -> Result<()> {
    let head = "INSERT INTO flow_key (kind, id, due_at, generation, owner, lease_until, epoch, attempts) \
                VALUES (?, ?, ?, 1, NULL, 0, 0, 0) ";
    let tail = match tx.dialect() {
        Dialect::Mysql => {
            "ON DUPLICATE KEY UPDATE generation = generation + 1, attempts = 0, \
             due_at = LEAST(COALESCE(due_at, VALUES(due_at)), VALUES(due_at))"
        }
        Dialect::Sqlite => {
            "ON CONFLICT (kind, id) DO UPDATE SET generation = flow_key.generation + 1, attempts = 0, \
             due_at = min(COALESCE(flow_key.due_at, excluded.due_at), excluded.due_at)"
        }
        Dialect::Postgres => {
            "ON CONFLICT (kind, id) DO UPDATE SET generation = flow_key.generation + 1, attempts = 0, \
             due_at = LEAST(COALESCE(flow_key.due_at, excluded.due_at), excluded.due_at)"
        }
    };
    tx.execute(&format!("{head}{tail}"), values![kind, id, due])
        .await?;
    tx.wake(kind, id);
    Ok(())
}

/// Claims at most `limit` due keys of these kinds for `owner`.
///
/// # Errors
/// As [`Db::query`].
pub async fn claim(
    db: &Db,
    kinds: &[&str],
    owner: &str,
    limit: u32,
    lease_micros: i64,
) -> Result<Claim> {
    let now = clock::now_micros();
    let marks = vec!["?"; kinds.len()].join(", ");
    let mut args: Vec<Value> = kinds.iter().map(|k| Value::from(*k)).collect();
    args.extend(values![now, now, limit]);
    let rows = db
        .query(
            &format!(
                "SELECT kind, id, generation, epoch, attempts FROM flow_key WHERE kind IN ({marks}) \
                 AND due_at <= ? AND (owner IS NULL OR lease_until < ?) ORDER BY due_at LIMIT ?"
            ),
            args,
        )
        .await?;
    let mut claim = Claim::default();
    if !rows.is_empty() {
        let mut tx = db.begin().await?;
        for row in rows {
            let lease = Lease {
                kind: row.text("kind")?,
                id: row.text("id")?,
                owner: owner.to_owned(),
                epoch: row.int("epoch")? + 1,
                generation: row.int("generation")?,
                attempts: row.int("attempts")?,
            };
            let won = tx
                .execute(
                    "UPDATE flow_key SET owner = ?, epoch = ?, lease_until = ? WHERE kind = ? AND id = ? \
                     AND epoch = ? AND generation = ? AND (owner IS NULL OR lease_until < ?)",
                    values![
                        owner, lease.epoch, now + lease_micros, &lease.kind, &lease.id,
                        lease.epoch - 1, lease.generation, now
                    ],
                )
                .await?;
            if won == 1 {
                claim.leases.push(lease);
            }
        }
        tx.commit().await?;
        return Ok(claim);
    }
    let mut args: Vec<Value> = kinds.iter().map(|k| Value::from(*k)).collect();
    args.push(now.into());
    // A key that another worker holds is looked at when its lease ends.
    let next = db
        .query_opt(
            &format!(
                "SELECT MIN(CASE WHEN owner IS NULL OR lease_until < ? THEN due_at \
                 WHEN due_at > lease_until THEN due_at ELSE lease_until END) AS next_due \
                 FROM flow_key WHERE due_at IS NOT NULL AND kind IN ({marks})"
            ),
            {
                let now = args.pop();
                now.into_iter().chain(args).collect()
            },
        )
        .await?;
    claim.next_due = next.map(|r| r.opt_int("next_due")).transpose()?.flatten();
    Ok(claim)
}

/// Extends all leases of an owner; answers those still held.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn renew(db: &Db, owner: &str, lease_micros: i64) -> Result<u64> {
    let mut tx = db.begin().await?;
    let n = tx
        .execute(
            "UPDATE flow_key SET lease_until = ? WHERE owner = ?",
            values![clock::now_micros() + lease_micros, owner],
        )
        .await?;
    tx.commit().await?;
    Ok(n)
}

/// Ends a run. A key that was marked again meanwhile stays due.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn complete(db: &Db, lease: &Lease, outcome: &Dirty) -> Result<()> {
    let mut tx = db.begin().await?;
    let tail = "WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    let own = values![&lease.kind, &lease.id, &lease.owner, lease.epoch];
    let clean = "owner = NULL, lease_until = 0, due_at = NULL, attempts = 0, last_error = NULL";
    let ended = match outcome {
        Dirty::Gone => Some(format!("DELETE FROM flow_key {tail} AND generation = ?")),
        Dirty::Clean => Some(format!(
            "UPDATE flow_key SET {clean} {tail} AND generation = ?"
        )),
        Dirty::At(_) | Dirty::Failed(..) => None,
    };
    if let Some(sql) = ended {
        let mut args = own.clone();
        args.push(lease.generation.into());
        // Not marked again meanwhile: nobody has to look.
        if tx.execute(&sql, args).await? == 1 {
            return tx.commit().await;
        }
    }
    let (due, attempts, error) = match outcome {
        Dirty::Gone | Dirty::Clean => (None, 0, None),
        Dirty::At(at) => (Some(*at), 0, None),
        Dirty::Failed(at, why) => (Some(*at), lease.attempts + 1, Some(why.clone())),
    };
    let mut args = values![lease.generation, due, attempts, error];
    args.extend(own);
    // MySQL assigns left to right; the order below reads no changed column.
    let set = "owner = NULL, lease_until = 0, due_at = CASE WHEN generation = ? THEN ? ELSE due_at END, \
               attempts = ?, last_error = ?";
    tx.execute(&format!("UPDATE flow_key SET {set} {tail}"), args)
        .await?;
    tx.wake(&lease.kind, &lease.id);
    tx.commit().await
}

/// Voids every lease: on SQLite there is one process, so all that is held at
/// its start belongs to the dead one before it.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn release_all(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute(
        "UPDATE flow_key SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL",
        vec![],
    )
    .await?;
    tx.commit().await
}
