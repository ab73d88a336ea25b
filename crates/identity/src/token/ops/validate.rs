//! Validating tokens.

use std::sync::Arc;

use kernel::{Kind, Result};

use super::load::load;
use crate::errors::unauthenticated;
use crate::project::reader::ProjectReader;
use crate::state::State;
use crate::token::payload::Payload;
use crate::token::time::{EXPIRED_WINDOW, TokenTime};
use crate::token::{Valid, table};

/// Decrypts a token and checks everything that it refers to. The result may be
/// two seconds old.
pub(crate) async fn validate(state: &State, token: &str) -> Result<Arc<Valid>> {
    // Padding does not make it another token.
    let token = token.trim_end_matches('=');
    if let Some(valid) = state.cache.get(token)
        && valid.payload.expires_at > TokenTime::now()
    {
        return Ok(valid);
    }
    let generation = state.cache.generation();
    let valid = validate_uncached(state, token).await?;
    state.cache.put(token, valid.clone(), generation);
    Ok(valid)
}

/// As [`validate`], by the present contents of the database.
pub(crate) async fn validate_uncached(state: &State, token: &str) -> Result<Arc<Valid>> {
    validate_at(state, token, TokenTime::now()).await
}

/// As [`validate_uncached`], but accepts a token for two days after its end: a
/// service finishes what a caller began before it.
pub(crate) async fn validate_expired(state: &State, token: &str) -> Result<Arc<Valid>> {
    validate_at(state, token, TokenTime::now() - EXPIRED_WINDOW).await
}

/// Validates a token that is not expired at `now`.
async fn validate_at(state: &State, token: &str, now: TokenTime) -> Result<Arc<Valid>> {
    let (issued_at, bytes) = state
        .keys
        .open_token(token)
        .ok_or_else(|| unauthenticated("not our token"))?;
    let payload = Payload::decode(&bytes).ok_or_else(|| unauthenticated("unknown payload"))?;
    if payload.expires_at <= now {
        return Err(unauthenticated("expired"));
    }
    if table::is_revoked(&state.db, &payload, issued_at).await? {
        return Err(unauthenticated("revoked"));
    }
    let mut projects = ProjectReader::new(&state.db);
    let loaded = load((&state.db, &mut projects), payload, issued_at).await;
    let valid = Arc::new(loaded.map_err(|e| match e.kind {
        Kind::Forbidden => unauthenticated("the trust gives no roles"),
        _ => e,
    })?);
    if issued_at < valid.users_after {
        return Err(unauthenticated(
            "issued before the user's tokens were revoked",
        ));
    }
    if issued_at < valid.targets_after {
        return Err(unauthenticated(
            "issued before the project or a domain was disabled",
        ));
    }
    Ok(valid)
}
