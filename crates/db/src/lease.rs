//! Dirty keys and leases with epochs.
//!
//! A key is made dirty in the transaction of the change that needs work. A
//! worker claims it by compare-and-swap (row locks do not exist on SQLite),
//! which raises the epoch; every write of the run is fenced by it. All times
//! are the database's own, so that the clocks of servers do not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use crate::{Db, Dialect, LeaseLost, Row, Tx, Validity, Value, values};

/// A key that is due later than this from now was scheduled by a clock that
/// has since been set back; so was a lease that ends later.
const FARTHEST: Duration = Duration::from_secs(15 * 60);
/// Receipts of commits are kept so long.
const RECEIPTS: Duration = Duration::from_secs(3600);
/// Events that nobody delivered are kept so long.
const EVENTS: Duration = Duration::from_secs(24 * 3600);
/// Removed objects are remembered so long: no call is delayed longer.
const TOMBSTONES: Duration = Duration::from_secs(24 * 3600);

/// A key that is leased to one worker.
#[derive(Debug, Clone)]
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
    /// The project whose object the key is, where it is known.
    pub tenant: Option<String>,
    validity: Validity,
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
    /// it; a future that a run spawns as a task of its own needs its own guard.
    ///
    /// # Errors
    /// `LeaseLost` where it ended first; `work` is dropped.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, LeaseLost> {
        self.validity.guard(work).await
    }
}

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

/// What remains to do when a run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dirty {
    /// Nothing until somebody marks the key.
    Clean,
    /// Run again after this time or when marked.
    After(Duration),
    /// The row is gone: forget the key.
    Gone,
    /// The run failed: run again after this time; the text is kept.
    Failed(Duration, String),
}

/// How a mark treats a key that waits because its last run failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// It goes on waiting.
    Event,
    /// It runs at once, and its failures are forgotten.
    Operation,
}

/// Marks a key dirty: a worker runs it as soon as the transaction commits, or
/// when its backoff ends where the last run failed. For events: something that
/// the row depends on has changed.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn mark(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    upsert(tx, kind, id, None, Urgency::Event).await
}

/// As [`mark`] for operations of users: the key runs at once, whatever failed
/// before.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn mark_now(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    upsert(tx, kind, id, None, Urgency::Operation).await
}

/// As [`mark_now`] where a row is created: says whose it is, so that the keys
/// of one project cannot keep those of others waiting.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn mark_for(tx: &mut Tx, kind: &str, id: &str, project_id: &str) -> Result<()> {
    upsert(tx, kind, id, Some(project_id), Urgency::Operation).await
}

async fn upsert(
    tx: &mut Tx,
    kind: &str,
    id: &str,
    tenant: Option<&str>,
    urgency: Urgency,
) -> Result<()> {
    let now = tx.db().now_sql();
    let (new, old) = match tx.dialect() {
        Dialect::Mysql => ("VALUES(due_at)", "due_at"),
        _ => ("excluded.due_at", "flow_key.due_at"),
    };
    let (least, old_attempts, old_generation, old_tenant) = match tx.dialect() {
        Dialect::Mysql => ("LEAST", "attempts", "generation", "tenant"),
        Dialect::Sqlite => (
            "min",
            "flow_key.attempts",
            "flow_key.generation",
            "flow_key.tenant",
        ),
        Dialect::Postgres => (
            "LEAST",
            "flow_key.attempts",
            "flow_key.generation",
            "flow_key.tenant",
        ),
    };
    let at_once = format!("{least}(COALESCE({old}, {new}), {new})");
    // MySQL assigns from left to right: `attempts` is changed last.
    let change = match urgency {
        Urgency::Event => format!(
            "due_at = CASE WHEN {old_attempts} > 0 THEN COALESCE({old}, {new}) ELSE {at_once} END"
        ),
        Urgency::Operation => format!("due_at = {at_once}, urgent = ?, attempts = 0"),
    };
    let conflict = match tx.dialect() {
        Dialect::Mysql => "ON DUPLICATE KEY UPDATE",
        _ => "ON CONFLICT (kind, id) DO UPDATE SET",
    };
    let sql = format!(
        "INSERT INTO flow_key (kind, id, due_at, generation, owner, lease_until, epoch, attempts, tenant, urgent) \
         VALUES (?, ?, {now}, 1, NULL, 0, 0, 0, ?, ?) \
         {conflict} generation = {old_generation} + 1, tenant = COALESCE({old_tenant}, ?), {change}"
    );
    let mut args = values![
        kind,
        id,
        tenant.map(str::to_owned),
        false,
        tenant.map(str::to_owned)
    ];
    if urgency == Urgency::Operation {
        args.push(true.into());
    }
    tx.execute(&sql, args).await?;
    tx.woken.add(kind, id, true);
    Ok(())
}

fn marks(n: usize) -> String {
    vec!["?"; n].join(", ")
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

/// How long until the next key of these kinds is due or its lease ends;
/// `None`: nothing waits.
///
/// # Errors
/// As [`Db::query`].
pub async fn next_due(db: &Db, kinds: &[&str]) -> Result<Option<Duration>> {
    let now = db.now_sql();
    let row = db
        .query_opt(
            &format!(
                "SELECT MIN(CASE WHEN owner IS NULL OR lease_until < {now} OR due_at > lease_until \
                 THEN due_at ELSE lease_until END) - {now} AS pause \
                 FROM flow_key WHERE due_at IS NOT NULL AND kind IN ({})",
                marks(kinds.len())
            ),
            kinds.iter().map(|k| Value::from(*k)).collect(),
        )
        .await?;
    let pause = row.map(|r| r.opt_int("pause")).transpose()?.flatten();
    Ok(pause.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// Extends the leases of runs that are alive, over connections of its own.
/// Ends the validity of those that are lost; answers how many were.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn renew(db: &Db, owner: &str, alive: &[Lease], duration: Duration) -> Result<usize> {
    let db = &db.for_leases();
    let now = db.now_sql();
    let asked = Instant::now();
    // A key that one of its own transactions has locked is renewed next time.
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
            // Another run's lease is not ours to renew, though it is ours by
            // name: the run may have died.
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
    // Locked or lost: only reading tells.
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

/// Ends a run. A key that was marked again meanwhile stays due, but a run that
/// failed waits for its backoff unless a user's operation marked the key.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn complete(db: &Db, lease: &Lease, outcome: &Dirty) -> Result<()> {
    let now = db.now_sql();
    let free = "owner = NULL, lease_until = 0";
    let own = "WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    // As long as nobody marked the key meanwhile …
    let (quiet, mut args) = match outcome {
        Dirty::Gone => (format!("DELETE FROM flow_key {own}"), vec![]),
        Dirty::Clean => (
            format!(
                "UPDATE flow_key SET {free}, due_at = NULL, attempts = 0, last_error = NULL {own}"
            ),
            vec![],
        ),
        Dirty::After(pause) => (
            format!(
                "UPDATE flow_key SET {free}, due_at = {now} + ?, attempts = 0, last_error = NULL {own}"
            ),
            values![micros(*pause)],
        ),
        Dirty::Failed(pause, why) => (
            format!(
                "UPDATE flow_key SET {free}, due_at = {now} + ?, attempts = ?, last_error = ? {own}"
            ),
            values![micros(*pause), lease.attempts + 1, why],
        ),
    };
    let key = values![&lease.kind, &lease.id, &lease.owner, lease.epoch];
    args.extend(key.clone());
    let unchanged = match outcome {
        Dirty::Failed(..) => {
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
        // … else it is still due.
        let rest = format!("UPDATE flow_key SET {free}, attempts = 0, last_error = NULL {own}");
        if tx.execute(&rest, key.clone()).await? == 1 {
            tx.woken.add(&lease.kind, &lease.id, true);
        }
        Ok(())
    });
    lease.validity.end();
    done
}

/// Voids every lease: on SQLite there is one process, so all that is held at
/// its start belongs to the dead one before it.
///
/// # Errors
/// As [`Tx::execute`].
pub async fn release_all(db: &Db) -> Result<()> {
    let now = db.now_sql();
    crate::write!(db, |tx| {
        tx.execute(
            "UPDATE flow_key SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL",
            vec![],
        )
        .await?;
        // The machine's clock may have been set back while nobody ran.
        tx.execute(
            &format!("UPDATE flow_key SET due_at = {now} WHERE due_at > {now}"),
            vec![],
        )
        .await?;
        Ok(())
    })
}

/// Once in a while: repairs what a clock that was set back has left, and
/// forgets old receipts and tombstones.
///
/// # Errors
/// As [`Tx::execute`].
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
        // Nobody consumes events later than this.
        tx.execute(
            &format!("DELETE FROM outbox WHERE seq < {now} - ?"),
            values![micros(EVENTS)],
        )
        .await?;
        tx.execute(
            &format!("DELETE FROM object_generation WHERE removed_at < {now} - ?"),
            values![micros(TOMBSTONES)],
        )
        .await?;
        Ok(())
    })
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}
