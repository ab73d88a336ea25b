//! Renews the leases of active runs.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use crate::value::micros;
use crate::{Db, Dialect, Lease, values};

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
