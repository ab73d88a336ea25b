//! Claims dirty keys by compare-and-swap (row locks do not exist on SQLite),
//! which raises the epoch of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use crate::lease::{marks, micros};
use crate::{Db, Lease, Row, Validity, Value, values};

/// What a claim is to find.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Kinds with the number of keys that may be claimed of each.
    pub kinds: &'a [(&'a str, u32)],
    pub owner: &'a str,
    /// Most keys that are claimed in all.
    pub limit: u32,
    /// Lease duration.
    pub duration: Duration,
    /// Keys that this process is still running.
    pub running: &'a BTreeSet<(String, String)>,
    /// The runs of each project.
    pub tenants: &'a BTreeMap<String, u32>,
    /// Most runs of one project.
    pub per_tenant: u32,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claim {
    pub leases: Vec<Lease>,
    /// Whether more is due than the limits allow.
    pub more: bool,
}

const CANDIDATE: &str = "kind, id, generation, epoch, attempts, tenant";

/// Claims due keys, those of each project in turn.
///
/// # Errors
/// As [`Db::query`].
pub async fn claim(db: &Db, wanted: &Wanted<'_>) -> Result<Claim> {
    let kinds: Vec<&str> = open_kinds(wanted);
    if kinds.is_empty() || wanted.limit == 0 {
        return Ok(Claim {
            leases: Vec::new(),
            more: true,
        });
    }
    let now = db.now_sql();
    let mut args: Vec<Value> = kinds.iter().map(|k| Value::from(*k)).collect();
    // What runs here is due as well where it was marked meanwhile.
    let running = u32::try_from(wanted.running.len()).unwrap_or(u32::MAX);
    let full: Vec<&String> = wanted
        .tenants
        .iter()
        .filter(|(_, runs)| **runs >= wanted.per_tenant)
        .map(|(tenant, _)| tenant)
        .collect();
    let others = if full.is_empty() {
        String::new()
    } else {
        args.extend(full.iter().map(|t| Value::from(t.as_str())));
        format!(
            " AND (tenant IS NULL OR tenant NOT IN ({}))",
            marks(full.len())
        )
    };
    args.push(wanted.limit.saturating_add(running).into());
    let rows = db
        .query(
            &format!(
                "SELECT {CANDIDATE} FROM (\
                 SELECT {CANDIDATE}, due_at, ROW_NUMBER() OVER (PARTITION BY kind, tenant ORDER BY due_at, id) AS place \
                 FROM flow_key WHERE kind IN ({}) AND due_at <= {now} AND (owner IS NULL OR lease_until < {now}){others}\
                 ) AS due ORDER BY place, due_at, kind, id LIMIT ?",
                marks(kinds.len())
            ),
            args,
        )
        .await?;
    let mut claim = take(db, wanted, &rows).await?;
    claim.more |= !full.is_empty() || kinds.len() < wanted.kinds.len();
    Ok(claim)
}

/// Claims due keys of these kinds for somebody who runs nothing else.
///
/// # Errors
/// As [`Db::query`].
pub async fn claim_for(
    db: &Db,
    kinds: &[&str],
    owner: &str,
    limit: u32,
    duration: Duration,
) -> Result<Vec<Lease>> {
    let kinds: Vec<(&str, u32)> = kinds.iter().map(|k| (*k, limit)).collect();
    let wanted = Wanted {
        kinds: &kinds,
        owner,
        limit,
        duration,
        running: &BTreeSet::new(),
        tenants: &BTreeMap::new(),
        per_tenant: limit,
    };
    Ok(claim(db, &wanted).await?.leases)
}

/// As [`claim`] for keys that are known to be marked: no search.
///
/// # Errors
/// As [`Db::query`].
pub async fn claim_keys(
    db: &Db,
    wanted: &Wanted<'_>,
    keys: &BTreeSet<(String, String)>,
) -> Result<Claim> {
    let now = db.now_sql();
    let mut rows = Vec::new();
    for kind in open_kinds(wanted) {
        let ids: Vec<&String> = keys
            .iter()
            .filter(|key| key.0 == kind && !wanted.running.contains(*key))
            .map(|(_, id)| id)
            .collect();
        for some in ids.chunks(100) {
            let mut args = values![kind];
            args.extend(some.iter().map(|id| Value::from(id.as_str())));
            rows.extend(
                db.query(
                    &format!(
                        "SELECT {CANDIDATE} FROM flow_key WHERE kind = ? AND id IN ({}) \
                         AND due_at <= {now} AND (owner IS NULL OR lease_until < {now}) ORDER BY id",
                        marks(some.len())
                    ),
                    args,
                )
                .await?,
            );
        }
    }
    let mut claim = take(db, wanted, &rows).await?;
    claim.more |= wanted.kinds.iter().any(|(_, room)| *room == 0);
    Ok(claim)
}

fn open_kinds<'a>(wanted: &Wanted<'a>) -> Vec<&'a str> {
    let open = wanted.kinds.iter().filter(|(_, room)| *room > 0);
    open.map(|(kind, _)| *kind).collect()
}

/// Leases the candidates that nobody else has taken meanwhile.
async fn take(db: &Db, wanted: &Wanted<'_>, rows: &[Row]) -> Result<Claim> {
    let mut room: Vec<(&str, u32)> = wanted.kinds.to_vec();
    let mut tenants = wanted.tenants.clone();
    let mut candidates = Vec::new();
    let mut more = false;
    for row in rows {
        let (kind, id) = (row.text("kind")?, row.text("id")?);
        let tenant = row.opt_text("tenant")?;
        if wanted.running.contains(&(kind.clone(), id.clone())) {
            continue;
        }
        let runs = tenant
            .as_ref()
            .map_or(0, |t| tenants.get(t).copied().unwrap_or(0));
        let left = room.iter_mut().find(|(k, left)| *k == kind && *left > 0);
        let Some((_, left)) =
            left.filter(|_| runs < wanted.per_tenant && candidates.len() < wanted.limit as usize)
        else {
            more = true;
            continue;
        };
        *left -= 1;
        if let Some(tenant) = &tenant {
            tenants.insert(tenant.clone(), runs + 1);
        }
        candidates.push(Lease {
            kind,
            id,
            owner: wanted.owner.to_owned(),
            epoch: row.int("epoch")? + 1,
            generation: row.int("generation")?,
            attempts: row.int("attempts")?,
            tenant,
            validity: Validity::default(),
        });
    }
    // The search ended at its limit: there may be more than was found.
    more |= candidates.len() >= wanted.limit as usize;
    if candidates.is_empty() {
        return Ok(Claim {
            leases: candidates,
            more,
        });
    }
    // One order for all servers, or two claims would wait for each other.
    candidates.sort_by(|a, b| (&a.kind, &a.id).cmp(&(&b.kind, &b.id)));
    let now = db.now_sql();
    let sql = format!(
        "UPDATE flow_key SET owner = ?, epoch = ?, urgent = ?, lease_until = {now} + ? \
         WHERE kind = ? AND id = ? AND epoch = ? AND generation = ? AND (owner IS NULL OR lease_until < {now})"
    );
    let micros = micros(wanted.duration);
    crate::write!(db, |tx| {
        let asked = Instant::now();
        let mut taken = Vec::with_capacity(candidates.len());
        for lease in &candidates {
            let won = tx
                .execute(
                    &sql,
                    values![
                        wanted.owner,
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
                    Validity::since(asked, wanted.duration)
                } else {
                    Validity::default()
                };
                taken.push(Lease {
                    validity,
                    ..lease.clone()
                });
            }
        }
        Ok(Claim {
            leases: taken,
            more,
        })
    })
}
