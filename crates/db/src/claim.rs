//! Finds due keys, and claims them by compare-and-swap (row locks do not exist on SQLite),
//! which raises the epoch of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use crate::value::{micros, placeholders};
use crate::{Db, Lease, Row, Validity, Value, values};

/// A due key, and the project of its object, if known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    pub kind: String,
    pub id: String,
    pub project: Option<String>,
}

const CANDIDATE: &str = "kind, id, generation, epoch, attempts, tenant";

/// Finds due keys of these kinds without a lease, alternating between projects
/// within each kind, at most `limit`. It reads all due keys, so callers keep
/// the result.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn search(db: &Db, kinds: &[&str], limit: u32) -> Result<Vec<Due>> {
    let now = db.now_sql();
    let mut args: Vec<Value> = kinds.iter().map(|k| Value::from(*k)).collect();
    args.push(limit.into());
    let rows = db
        .query(
            &format!(
                "SELECT kind, id, tenant FROM (\
                 SELECT kind, id, tenant, due_at, ROW_NUMBER() OVER (PARTITION BY kind, tenant ORDER BY due_at, id) AS place \
                 FROM flow_key WHERE kind IN ({}) AND due_at <= {now} AND (owner IS NULL OR lease_until < {now})\
                 ) AS due ORDER BY place, due_at, kind, id LIMIT ?",
                placeholders(kinds.len())
            ),
            args,
        )
        .await?;
    rows.iter().map(due).collect()
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

/// Returns the projects of these keys; missing keys are omitted.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn projects_of(db: &Db, keys: &BTreeSet<(String, String)>) -> Result<Vec<Due>> {
    let rows = rows_of(db, "kind, id, tenant", "", keys).await?;
    rows.iter().map(due).collect()
}

fn due(row: &Row) -> Result<Due> {
    Ok(Due {
        kind: row.text("kind")?,
        id: row.text("id")?,
        project: row.opt_text("tenant")?,
    })
}

/// The rows of these keys, in key order.
async fn rows_of(
    db: &Db,
    columns: &str,
    only: &str,
    keys: &BTreeSet<(String, String)>,
) -> Result<Vec<Row>> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, id) in keys {
        kinds.entry(kind).or_default().push(id);
    }
    let mut rows = Vec::new();
    for (kind, ids) in kinds {
        for some in ids.chunks(100) {
            let mut args = values![kind];
            args.extend(some.iter().map(|id| Value::from(*id)));
            let sql = format!(
                "SELECT {columns} FROM flow_key WHERE kind = ? AND id IN ({}){only} ORDER BY id",
                placeholders(some.len())
            );
            rows.extend(db.query(&sql, args).await?);
        }
    }
    Ok(rows)
}

/// Claims due keys of these kinds for an owner that runs nothing else.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn claim_for(
    db: &Db,
    kinds: &[&str],
    owner: &str,
    limit: u32,
    duration: Duration,
) -> Result<Vec<Lease>> {
    let found = search(db, kinds, limit).await?;
    let keys = found.into_iter().map(|d| (d.kind, d.id)).collect();
    claim(db, owner, duration, &keys).await
}

/// Leases those of these keys that are still due and not leased.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn claim(
    db: &Db,
    owner: &str,
    duration: Duration,
    keys: &BTreeSet<(String, String)>,
) -> Result<Vec<Lease>> {
    let now = db.now_sql();
    let free = format!(" AND due_at <= {now} AND (owner IS NULL OR lease_until < {now})");
    // All servers use the same order, since otherwise two claims could
    // deadlock.
    let mut candidates = Vec::new();
    for row in rows_of(db, CANDIDATE, &free, keys).await? {
        candidates.push(Lease {
            kind: row.text("kind")?,
            id: row.text("id")?,
            owner: owner.to_owned(),
            epoch: row.int("epoch")? + 1,
            generation: row.int("generation")?,
            attempts: row.int("attempts")?,
            project: row.opt_text("tenant")?,
            validity: Validity::default(),
        });
    }
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let sql = format!(
        "UPDATE flow_key SET owner = ?, epoch = ?, urgent = ?, lease_until = {now} + ? \
         WHERE kind = ? AND id = ? AND epoch = ? AND generation = ? AND (owner IS NULL OR lease_until < {now})"
    );
    let micros = micros(duration);
    crate::write!(db, |tx| {
        let asked = Instant::now();
        let mut taken = Vec::with_capacity(candidates.len());
        for lease in &candidates {
            let won = tx
                .execute(
                    &sql,
                    values![
                        owner,
                        lease.epoch,
                        false,
                        micros,
                        &lease.kind,
                        &lease.id,
                        lease.epoch - 1,
                        lease.generation
                    ],
                )
                .await?;
            if won == 1 {
                let validity = if db.safeguards().validity {
                    Validity::since(asked, duration)
                } else {
                    Validity::default()
                };
                taken.push(Lease {
                    validity,
                    ..lease.clone()
                });
            }
        }
        Ok(taken)
    })
}
