//! Checking the credentials of a request for a token.

use kernel::Result;

use super::lookup::{find_credential, find_user};
use super::validate::validate_uncached;
use crate::app_credential::AppCredential;
use crate::errors::{forbidden_action, unauthenticated};
use crate::password;
use crate::state::State;
use crate::token::payload::{self, Scope};
use crate::token::request::{Proof, Reference};
use crate::token::time::{LIFETIME, TokenTime};
use crate::user::{self, User};

/// Result of an authentication.
pub(super) struct Proven {
    pub user: User,
    pub methods: u8,
    pub expires_at: TokenTime,
    /// Audit ids of the ancestors of the token.
    pub chain: Vec<String>,
    /// The scope of the token that authenticates.
    pub source_scope: Option<Scope>,
    /// The application credential that authenticates.
    pub credential: Option<AppCredential>,
}

/// Checks the credentials of a request.
///
/// # Errors
/// `Unauthenticated`; `Forbidden` for the token of a delegation, such as that of an
/// application credential or a trust.
pub(super) async fn authenticate(state: &State, proof: &Proof, now: TokenTime) -> Result<Proven> {
    match proof {
        Proof::Password { user, password } => by_password(state, user, password, now).await,
        Proof::Token(token) => by_token(state, token).await,
        Proof::AppCredential {
            credential,
            user,
            secret,
        } => by_credential(state, credential, user, secret, now).await,
    }
}

async fn by_password(
    state: &State,
    user: &Reference,
    password: &str,
    now: TokenTime,
) -> Result<Proven> {
    let found = find_user(&state.db, user).await?;
    let hash = found.as_ref().and_then(|u| u.password_hash.clone());
    if !password::verify(password.to_owned(), hash).await? {
        return Err(unauthenticated("wrong password or unknown user"));
    }
    Ok(Proven {
        user: found.ok_or_else(|| unauthenticated("unknown user"))?,
        methods: payload::PASSWORD,
        expires_at: now + LIFETIME,
        chain: vec![],
        source_scope: None,
        credential: None,
    })
}

async fn by_token(state: &State, token: &str) -> Result<Proven> {
    // What another server revoked must not lead to a new token, so the cache is
    // not used.
    let source = validate_uncached(state, token).await?;
    if let Scope::Trust { .. } = source.payload.scope {
        return Err(forbidden_action(
            "Using trust-scoped token to create another token. Create a new trust-scoped token instead",
        ));
    }
    if source.is_delegated() {
        return Err(forbidden_action(
            "Using a delegated token to create another token is not allowed.",
        ));
    }
    Ok(Proven {
        user: source.user.clone(),
        methods: source.payload.methods | payload::TOKEN,
        // Exchanging a token cannot extend its lifetime.
        expires_at: source.payload.expires_at,
        chain: source.payload.audit_ids.clone(),
        source_scope: Some(source.payload.scope.clone()),
        credential: None,
    })
}

async fn by_credential(
    state: &State,
    credential: &Reference,
    user: &Reference,
    secret: &str,
    now: TokenTime,
) -> Result<Proven> {
    let found = find_credential(&state.db, credential, user).await?;
    let hash = found.as_ref().map(|c| c.secret_hash.clone());
    if !password::verify(secret.to_owned(), hash).await? {
        let why = "wrong secret or unknown application credential";
        return Err(unauthenticated(why));
    }
    let credential = found.ok_or_else(|| unauthenticated("unknown application credential"))?;
    let ends = credential
        .expires_at
        .map_or(TokenTime::MAX, TokenTime::from);
    if ends <= now {
        return Err(unauthenticated("application credential expired"));
    }
    let user = user::table::by_id(&state.db, &credential.user_id).await?;
    Ok(Proven {
        user: user.ok_or_else(|| unauthenticated("user is gone"))?,
        methods: payload::APPLICATION_CREDENTIAL,
        expires_at: ends.min(now + LIFETIME),
        chain: vec![],
        source_scope: None,
        credential: Some(credential),
    })
}
