//! SQL of `revoked_token`.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use db::{Db, Tx, values};
use kernel::Result;

use super::payload::{Payload, Scope};
use super::time::TokenTime;

/// Revokes the tokens with this key, also those of the future.
pub(crate) async fn revoke(tx: &mut Tx, key: &str, expires_at: TokenTime) -> Result<()> {
    replace(tx, key, expires_at, None).await
}

/// Revokes the tokens with this key that were issued until now. They may be dated to a later
/// second because of an earlier revocation.
pub(crate) async fn revoke_issued(
    tx: &mut Tx,
    key: &str,
    expires_at: TokenTime,
    now: TokenTime,
) -> Result<()> {
    let sql = "SELECT issued_before FROM revoked_token WHERE audit_id = ?";
    let row = tx.query_opt(sql, values![key]).await?;
    let stored = row.map(|r| r.opt_int("issued_before")).transpose()?;
    let stored = stored.flatten().and_then(TokenTime::from_seconds);
    let before = now.max(stored.unwrap_or_default()).next();
    replace(tx, key, expires_at, Some(before)).await
}

async fn replace(
    tx: &mut Tx,
    key: &str,
    expires_at: TokenTime,
    issued_before: Option<TokenTime>,
) -> Result<()> {
    let sql = "DELETE FROM revoked_token WHERE audit_id = ?";
    tx.execute(sql, values![key]).await?;
    tx.execute(
        "INSERT INTO revoked_token (audit_id, expires_at, issued_before) VALUES (?, ?, ?)",
        values![key, expires_at, issued_before.map(TokenTime::as_seconds)],
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

/// The key of the revocation of the tokens of a chain with the same project or domain as this
/// token; `None` for a token of another scope.
pub(crate) fn in_chain_with_scope(payload: &Payload) -> Option<String> {
    let (kind, id) = match &payload.scope {
        Scope::Project(id) => ("project", id.as_str()),
        Scope::Domain(id) => ("domain", id.as_str()),
        _ => return None,
    };
    let chain = payload.audit_ids.last()?;
    let text = format!("{chain} {kind} {id}");
    let hash = digest(&SHA256, text.as_bytes());
    // The column has 32 characters; audit ids have no colon.
    let short = hash.as_ref().get(..20)?;
    Some(format!("in:{}", URL_SAFE_NO_PAD.encode(short)))
}

/// Whether a token is revoked.
pub(crate) async fn is_revoked(db: &Db, payload: &Payload, issued_at: TokenTime) -> Result<bool> {
    let mut keys = payload.audit_ids.clone();
    keys.extend(payload.audit_ids.first().map(|own| single(own)));
    keys.extend(in_chain_with_scope(payload));
    let marks = vec!["?"; keys.len()].join(", ");
    let sql = format!("SELECT issued_before FROM revoked_token WHERE audit_id IN ({marks})");
    let keys = keys.into_iter().map(db::Value::from).collect();
    for row in db.query(&sql, keys).await? {
        let before = row.opt_int("issued_before")?;
        if before.is_none_or(|before| issued_at.as_seconds() < before) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The time before which the tokens of a chain with the scope of this one are revoked.
pub(crate) async fn revoked_before(db: &Db, payload: &Payload) -> Result<TokenTime> {
    let Some(key) = in_chain_with_scope(payload) else {
        return Ok(TokenTime::default());
    };
    let sql = "SELECT issued_before FROM revoked_token WHERE audit_id = ?";
    let row = db.query_opt(sql, values![key]).await?;
    let before = row.map(|r| r.opt_int("issued_before")).transpose()?;
    let before = before.flatten().and_then(TokenTime::from_seconds);
    Ok(before.unwrap_or_default())
}
