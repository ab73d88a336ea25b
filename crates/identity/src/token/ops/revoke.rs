//! Revoking tokens.

use db::Tx;
use kernel::{Error, Kind, Result};

use crate::state::State;
use crate::token::time::{EXPIRED_WINDOW, LIFETIME, TokenTime};
use crate::token::{Valid, table};

/// Which tokens a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The token and those issued from it. Tokens do not name all of their ancestors: of a
    /// token that was issued from another one, all tokens of the chain with the same project
    /// or domain end, as in Keystone, and the whole chain if it has neither.
    Chain,
    /// This token only.
    One,
}

/// How often requests that revoke tokens of the same chain at the same time are repeated.
const ATTEMPTS: usize = 5;

/// Revokes tokens; takes effect on this server at once.
pub(crate) async fn revoke(state: &State, valid: &Valid, extent: Extent) -> Result<()> {
    let mut revoked = Ok(());
    for _ in 0..ATTEMPTS {
        revoked = db::write!(state.db, |tx| store(tx, valid, extent).await);
        state.cache.clear();
        let is_concurrent = |e: &Error| e.kind == Kind::AlreadyExists;
        if !revoked.as_ref().is_err_and(is_concurrent) {
            break;
        }
    }
    revoked
}

async fn store(tx: &mut Tx, valid: &Valid, extent: Extent) -> Result<()> {
    let now = TokenTime::now();
    table::forget(tx, now - EXPIRED_WINDOW).await?;
    // The first audit id is the token's own, the last one that of the
    // chain's first token, which every token of the chain carries.
    let ids = &valid.payload.audit_ids;
    // A token of the same chain can end later than this one.
    let ends = valid.payload.expires_at.max(now + LIFETIME);
    if let Some(own) = ids.first() {
        table::revoke(tx, &table::single(own), ends).await?;
    }
    if extent == Extent::One {
        return Ok(());
    }
    let of_scope = match ids.len() {
        0 | 1 => None,
        _ => table::in_chain_with_scope(&valid.payload),
    };
    match (of_scope, ids.last()) {
        (Some(key), _) => {
            // A token can be dated to the next second.
            let before = now.max(valid.issued_at);
            table::revoke_issued(tx, &key, ends, before).await
        }
        (None, Some(chain)) => table::revoke(tx, chain, ends).await,
        (None, None) => Ok(()),
    }
}
