//! SQL of `revoked_token`.

use super::time::TokenTime;
use db::{Db, Tx, values};
use kernel::Result;

pub(crate) async fn revoke(tx: &mut Tx, audit_id: &str, expires_at: TokenTime) -> Result<()> {
    tx.execute(
        "DELETE FROM revoked_token WHERE audit_id = ?",
        values![audit_id],
    )
    .await?;
    tx.execute(
        "INSERT INTO revoked_token (audit_id, expires_at) VALUES (?, ?)",
        values![audit_id, expires_at],
    )
    .await
    .map(|_| ())
}

/// Expired revocations are deleted.
pub(crate) async fn forget(tx: &mut Tx, now: TokenTime) -> Result<()> {
    tx.execute(
        "DELETE FROM revoked_token WHERE expires_at < ?",
        values![now],
    )
    .await
    .map(|_| ())
}

/// The key of the revocation of a single token, apart from those that were
/// issued from it. Audit ids have 22 characters, and no colon.
pub(crate) fn single(audit_id: &str) -> String {
    format!("one:{audit_id}")
}

/// Whether a token with these audit ids, its own first, is revoked.
pub(crate) async fn any(db: &Db, audit_ids: &[String]) -> Result<bool> {
    let mut keys = audit_ids.to_vec();
    keys.extend(audit_ids.first().map(|own| single(own)));
    let marks = vec!["?"; keys.len()].join(", ");
    let sql = format!("SELECT audit_id FROM revoked_token WHERE audit_id IN ({marks})");
    let keys = keys.into_iter().map(db::Value::from).collect();
    Ok(db.query_opt(&sql, keys).await?.is_some())
}
