//! SQL of `identity_trust`.

use db::{Db, Row, Table as _, Tx, values};
use kernel::{DomainId, Result, Timestamp};

use super::Trust;
use crate::ids::TrustId;

db::columns! {
    Trust in "identity_trust" {
        id, trustor_user_id, trustee_user_id, project_id, impersonation, roles as json,
        expires_at, remaining_uses, redelegated_trust_id, redelegation_count, extra,
    }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Trust>> {
    let sql = format!("{} WHERE id = ?", Trust::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(Trust::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Trust>> {
    let sql = format!("{} ORDER BY id", Trust::select());
    trusts(&db.query(&sql, vec![]).await?)
}

pub(crate) async fn of_trustor(db: &Db, user_id: &str) -> Result<Vec<Trust>> {
    let sql = format!("{} WHERE trustor_user_id = ? ORDER BY id", Trust::select());
    trusts(&db.query(&sql, values![user_id]).await?)
}

pub(crate) async fn of_trustee(db: &Db, user_id: &str) -> Result<Vec<Trust>> {
    let sql = format!("{} WHERE trustee_user_id = ? ORDER BY id", Trust::select());
    trusts(&db.query(&sql, values![user_id]).await?)
}

/// The trusts of a trustee that have not expired, each with the domain of its project; a
/// project that is gone has none.
pub(crate) async fn of_trustee_with_domains(
    db: &Db,
    user_id: &str,
    now: Timestamp,
) -> Result<Vec<(Trust, Option<DomainId>)>> {
    let columns = Trust::COLUMNS.iter().map(|column| format!("t.{column}"));
    let columns = columns.collect::<Vec<_>>().join(", ");
    // A domain has no domain, also if it is used as a project.
    let sql = format!(
        "SELECT {columns}, p.id AS in_project, p.domain_id AS in_domain FROM identity_trust t \
         LEFT JOIN project p ON p.id = t.project_id \
         WHERE t.trustee_user_id = ? AND (t.expires_at IS NULL OR t.expires_at > ?)"
    );
    let mut found = Vec::new();
    for row in db.query(&sql, values![user_id, now]).await? {
        let domain = row.opt_text("in_domain")?.filter(|id| !id.is_empty());
        let domain = match domain {
            Some(id) => Some(id),
            None => row.opt_text("in_project")?,
        };
        found.push((Trust::read(&row)?, domain.map(Into::into)));
    }
    Ok(found)
}

fn trusts(rows: &[Row]) -> Result<Vec<Trust>> {
    rows.iter().map(Trust::read).collect()
}

/// A trust, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Trust>> {
    let sql = format!("{} WHERE id = ?", Trust::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(Trust::read).transpose()
}

pub(crate) async fn count_of_trustor(tx: &mut Tx, user_id: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS trusts FROM identity_trust WHERE trustor_user_id = ?";
    let row = tx.query_opt(sql, values![user_id]).await?;
    row.map_or(Ok(0), |row| row.int("trusts"))
}

/// Counts one use of a trust whose number of uses is limited; returns whether there was
/// one left. One statement, so that requests at the same time do not exceed the number
/// together.
pub(crate) async fn consume_use(tx: &mut Tx, id: &str) -> Result<bool> {
    let sql = "UPDATE identity_trust SET remaining_uses = remaining_uses - 1 \
               WHERE id = ? AND remaining_uses > 0";
    Ok(tx.execute(sql, values![id]).await? > 0)
}

/// Deletes the trusts of a trustor that have expired.
pub(crate) async fn delete_expired(tx: &mut Tx, user_id: &str, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM identity_trust WHERE trustor_user_id = ? AND expires_at <= ?";
    tx.execute(sql, values![user_id, now]).await.map(|_| ())
}

/// Deletes a trust and all that were redelegated from it; returns whether it existed.
pub(crate) async fn delete(tx: &mut Tx, id: &TrustId) -> Result<bool> {
    let mut ids = vec![id.clone()];
    let mut at = 0;
    while let Some(above) = ids.get(at).cloned() {
        // A redelegation locks the trust that it is from.
        if lock(tx, &above).await?.is_none() && at == 0 {
            return Ok(false);
        }
        let sql = "SELECT id FROM identity_trust WHERE redelegated_trust_id = ? ORDER BY id";
        for row in tx.query(sql, values![&above]).await? {
            let below = TrustId::from(row.str("id")?);
            if !ids.contains(&below) {
                ids.push(below);
            }
        }
        at += 1;
    }
    for id in &ids {
        tx.execute("DELETE FROM identity_trust WHERE id = ?", values![id])
            .await?;
    }
    Ok(true)
}

/// Deletes the trusts of a locked user, as trustor or trustee, and all that were
/// redelegated from them.
pub(crate) async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<()> {
    // A redelegated trust has a smaller count than the one that it is from, so it is
    // locked after it.
    let sql = "SELECT id FROM identity_trust WHERE trustor_user_id = ? OR trustee_user_id = ? \
               ORDER BY redelegation_count DESC, id";
    for row in tx.query(sql, values![user_id, user_id]).await? {
        delete(tx, &row.str("id")?.into()).await?;
    }
    Ok(())
}

/// Deletes the trusts for a project. Those redelegated from them are for the same
/// project.
pub(crate) async fn delete_in_project(tx: &mut Tx, project_id: &str) -> Result<()> {
    let sql = "DELETE FROM identity_trust WHERE project_id = ?";
    tx.execute(sql, values![project_id]).await.map(|_| ())
}
