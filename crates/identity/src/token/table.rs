//! SQL of `revoked_token`.

use db::{Db, Tx, values};
use kernel::Result;

pub(crate) async fn revoke(tx: &mut Tx, audit_id: &str, expires_at: i64) -> Result<()> {
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
pub(crate) async fn forget(tx: &mut Tx, now: i64) -> Result<()> {
    tx.execute(
        "DELETE FROM revoked_token WHERE expires_at < ?",
        values![now],
    )
    .await
    .map(|_| ())
}

/// Whether one of these audit ids is revoked.
pub(crate) async fn any(db: &Db, audit_ids: &[String]) -> Result<bool> {
    for id in audit_ids {
        let row = db
            .query_opt(
                "SELECT audit_id FROM revoked_token WHERE audit_id = ?",
                values![id],
            )
            .await?;
        if row.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
