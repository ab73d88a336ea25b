//! Issuing tokens.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Error, Result};

use super::authenticate::{Proven, authenticate};
use super::load::load;
use super::scope;
use crate::errors::unauthenticated;
use crate::project::reader::ProjectReader;
use crate::state::State;
use crate::token::payload::{self, Payload};
use crate::token::request::{AuthRequest, Reference, Wanted};
use crate::token::time::{LIFETIME, TokenTime};
use crate::token::{Valid, table};
use crate::{trust, user};

/// Authenticates, determines the scope, and encrypts a token.
pub(crate) async fn issue(state: &State, request: AuthRequest) -> Result<(String, Arc<Valid>)> {
    let now = TokenTime::now();
    let proven = authenticate(state, &request.proof, now).await?;
    issue_proven(state, proven, &request.wanted, now).await
}

/// Issues a token for the owner and the project of a key pair, with which a request to
/// another service was signed.
pub(crate) async fn issue_for_key_pair(
    state: &State,
    user_id: &str,
    project_id: &str,
) -> Result<(String, Arc<Valid>)> {
    let now = TokenTime::now();
    let user = user::table::by_id(&state.db, user_id).await?;
    let proven = Proven {
        user: user.ok_or_else(|| unauthenticated("user is gone"))?,
        methods: payload::EC2_CREDENTIAL,
        expires_at: now + LIFETIME,
        chain: vec![],
        source_scope: None,
        credential: None,
    };
    let project = Reference {
        id: Some(project_id.to_owned()),
        ..Reference::default()
    };
    issue_proven(state, proven, &Wanted::Project(project), now).await
}

async fn issue_proven(
    state: &State,
    proven: Proven,
    wanted: &Wanted,
    now: TokenTime,
) -> Result<(String, Arc<Valid>)> {
    let generation = state.cache.generation();
    let mut projects = ProjectReader::new(&state.db);
    let db = &state.db;
    let (scope, end) = scope::determine((db, &mut projects), &proven, wanted).await?;
    let expires_at = proven.expires_at.min(end);
    if expires_at <= now {
        return Err(unauthenticated("the trust has expired"));
    }
    let mut audit = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut audit).map_err(Error::internal)?;
    let mut audit_ids = vec![URL_SAFE_NO_PAD.encode(audit)];
    audit_ids.extend(proven.chain.last().cloned());
    let payload = Payload {
        user_id: proven.user.id.clone(),
        methods: proven.methods,
        scope,
        expires_at,
        audit_ids,
    };
    // A password change invalidates all tokens issued in the same second, so a
    // token issued after it in that second is dated to the next second.
    let mut issued_at = now.max(proven.user.tokens_after);
    // So does the revocation of tokens of the same chain with the same project or domain.
    if payload.audit_ids.len() > 1 {
        let before = table::revoked_before(&state.db, &payload).await?;
        issued_at = issued_at.max(before);
    }
    let bytes = payload.encode()?;
    let mut valid = load((db, &mut projects), payload, issued_at).await?;
    // The same for the trustor of a trust.
    issued_at = issued_at.max(valid.users_after);
    if issued_at < valid.targets_after {
        // The project or a domain was disabled and enabled again in this second.
        // Tokens of the next second are valid.
        tokio::time::sleep(Duration::from_secs(1)).await;
        issued_at = issued_at.max(TokenTime::now());
        projects = ProjectReader::new(db);
        valid = load((db, &mut projects), valid.payload, issued_at).await?;
    }
    if issued_at < valid.targets_after {
        return Err(unauthenticated("the project or a domain was disabled"));
    }
    // The tokens of the user were revoked while this one was being issued.
    if valid.bearer_after != proven.user.tokens_after || issued_at < valid.users_after {
        return Err(unauthenticated("the user's tokens were revoked meanwhile"));
    }
    valid.issued_at = issued_at;
    let token = state.keys.seal(issued_at, &bytes)?;
    if let Some(trust) = &valid.trust {
        trust::ops::consume_use(state, trust).await?;
    }
    let valid = Arc::new(valid);
    state.cache.put(&token, valid.clone(), generation);
    Ok((token, valid))
}
