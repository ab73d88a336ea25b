//! Issuing, validating and revoking tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Error, Kind, Result, clock};

use super::payload::{self, Payload, Scope};
use super::request::{AuthRequest, Proof, Reference, Wanted};
use super::{Valid, table};
use crate::password;
use crate::project::{self, Project};
use crate::role;
use crate::state::State;
use crate::user::{self, User};

/// Lifetime of a token, seconds.
pub(crate) const LIFETIME: i64 = 3600;
const MICROS: i64 = 1_000_000;
/// How long after its end a service may still validate a token, seconds.
const EXPIRED_WINDOW: i64 = 172_800;

fn refused(why: &str) -> Error {
    Error::unauthenticated().context(why)
}

/// Result of an authentication.
struct Proven {
    user: User,
    methods: u8,
    expires_at: i64,
    /// Audit ids of the ancestors of the token.
    chain: Vec<String>,
    source_scope: Option<Scope>,
    credential: Option<user::table::AppCredential>,
}

/// Authenticates, determines the scope, and encrypts a token.
pub(crate) async fn issue(state: &State, request: AuthRequest) -> Result<(String, Arc<Valid>)> {
    let now = clock::now_micros() / MICROS;
    let proven = prove(state, &request.proof, now).await?;
    let scope = scope(state, &proven, &request.wanted).await?;
    let mut audit = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut audit).map_err(Error::internal)?;
    let mut audit_ids = vec![URL_SAFE_NO_PAD.encode(audit)];
    audit_ids.extend(proven.chain.last().cloned());
    let payload = Payload {
        user_id: proven.user.id.clone(),
        methods: proven.methods,
        scope,
        expires_at: proven.expires_at,
        audit_ids,
    };
    // A password change invalidates all tokens issued in the same second, so a
    // token issued after it in that second is dated to the next second.
    let issued_at = now.max(proven.user.tokens_after);
    let token = state.keys.seal(issued_at, &payload.encode()?)?;
    let valid = Arc::new(fill(state, payload, issued_at).await?);
    // The tokens of the user were revoked while this one was being issued.
    if issued_at < valid.user.tokens_after {
        return Err(refused("the user's tokens were revoked meanwhile"));
    }
    state.cache.put(&token, valid.clone());
    Ok((token, valid))
}

async fn prove(state: &State, proof: &Proof, now: i64) -> Result<Proven> {
    match proof {
        Proof::Password { user, password } => {
            let found = find_user(state, user).await?;
            let hash = found.as_ref().and_then(|u| u.password_hash.clone());
            if !password::verify(password.clone(), hash).await? {
                return Err(refused("wrong password or unknown user"));
            }
            let user = found.ok_or_else(|| refused("unknown user"))?;
            Ok(Proven {
                user,
                methods: payload::PASSWORD,
                expires_at: now + LIFETIME,
                chain: vec![],
                source_scope: None,
                credential: None,
            })
        }
        Proof::Token(token) => {
            // What another server revoked must not lead to a new token, so the
            // cache is not used.
            let source = validate_uncached(state, token).await?;
            if let Scope::AppCredential { .. } = source.payload.scope {
                return Err(Error::forbidden(
                    "You are not authorized to perform the requested action: Using a delegated token to create another token is not allowed..",
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
        Proof::AppCredential {
            credential,
            user,
            secret,
        } => {
            let found = find_credential(state, credential, user).await?;
            let hash = found.as_ref().map(|c| c.secret_hash.clone());
            if !password::verify(secret.clone(), hash).await? {
                return Err(refused("wrong secret or unknown application credential"));
            }
            let credential = found.ok_or_else(|| refused("unknown application credential"))?;
            let ends = credential.expires_at.map_or(i64::MAX, |e| e / MICROS);
            if ends <= now {
                return Err(refused("application credential expired"));
            }
            let user = user::table::by_id(&state.db, &credential.user_id).await?;
            Ok(Proven {
                user: user.ok_or_else(|| refused("user is gone"))?,
                methods: payload::APPLICATION_CREDENTIAL,
                expires_at: ends.min(now + LIFETIME),
                chain: vec![],
                source_scope: None,
                credential: Some(credential),
            })
        }
    }
}

async fn scope(state: &State, proven: &Proven, wanted: &Wanted) -> Result<Scope> {
    if let Some(c) = &proven.credential {
        if !matches!(wanted, Wanted::Default) {
            return Err(refused("application credentials cannot request a scope"));
        }
        return Ok(Scope::AppCredential {
            project_id: c.project_id.clone(),
            id: c.id.clone(),
        });
    }
    if proven.source_scope == Some(Scope::System)
        && matches!(wanted, Wanted::Project(_) | Wanted::Domain(_))
    {
        return Err(Error::forbidden(
            "You are not authorized to perform the requested action: rescope a scoped token.",
        ));
    }
    match wanted {
        Wanted::Unscoped => Ok(Scope::Unscoped),
        Wanted::System => Ok(Scope::System),
        Wanted::Default => default_scope(state, &proven.user).await,
        Wanted::Project(reference) => {
            let project = find_project(state, reference).await?;
            let project = project
                .filter(|p| !p.is_domain)
                .ok_or_else(|| refused("unknown project"))?;
            Ok(Scope::Project(project.id))
        }
        Wanted::Domain(reference) => {
            let domain =
                find_domain(state, reference.id.as_deref(), reference.name.as_deref()).await?;
            Ok(Scope::Domain(
                domain.ok_or_else(|| refused("unknown domain"))?.id,
            ))
        }
    }
}

/// The user's default project if the user can use it; otherwise no scope.
async fn default_scope(state: &State, user: &User) -> Result<Scope> {
    let Some(id) = &user.default_project_id else {
        return Ok(Scope::Unscoped);
    };
    let project = project::table::by_id(&state.db, id).await?;
    let Some(project) = project.filter(|p| p.enabled && !p.is_domain) else {
        return Ok(Scope::Unscoped);
    };
    if roles(state, &user.id, "project", id).await?.is_empty()
        || project::ops::enabled_domain_of(state, &project)
            .await?
            .is_none()
    {
        return Ok(Scope::Unscoped);
    }
    Ok(Scope::Project(project.id))
}

/// Decrypts a token and checks everything that it refers to. The result may be
/// two seconds old.
pub(crate) async fn validate(state: &State, token: &str) -> Result<Arc<Valid>> {
    let now = clock::now_micros() / MICROS;
    // Padding does not make it another token.
    let token = token.trim_end_matches('=');
    if let Some(valid) = state.cache.get(token)
        && valid.payload.expires_at > now
    {
        return Ok(valid);
    }
    let valid = validate_uncached(state, token).await?;
    state.cache.put(token, valid.clone());
    Ok(valid)
}

/// As [`validate`], by the present contents of the database.
pub(crate) async fn validate_uncached(state: &State, token: &str) -> Result<Arc<Valid>> {
    let now = clock::now_micros() / MICROS;
    validate_at(state, token, now).await
}

/// As [`validate_uncached`], but accepts a token for two days after its end: a
/// service finishes what a caller began before it.
pub(crate) async fn validate_expired(state: &State, token: &str) -> Result<Arc<Valid>> {
    let now = clock::now_micros() / MICROS;
    validate_at(state, token, now - EXPIRED_WINDOW).await
}

/// Validates a token that is not expired at `now`, seconds.
async fn validate_at(state: &State, token: &str, now: i64) -> Result<Arc<Valid>> {
    let (issued_at, bytes) = state
        .keys
        .open_token(token)
        .ok_or_else(|| refused("not our token"))?;
    let payload = Payload::decode(&bytes).ok_or_else(|| refused("unknown payload"))?;
    if payload.expires_at <= now {
        return Err(refused("expired"));
    }
    if table::any(&state.db, &payload.audit_ids).await? {
        return Err(refused("revoked"));
    }
    let valid = Arc::new(fill(state, payload, issued_at).await?);
    if issued_at < valid.user.tokens_after {
        return Err(refused("issued before the user's tokens were revoked"));
    }
    Ok(valid)
}

/// Loads the objects of a payload; rejects missing or disabled ones.
async fn fill(state: &State, payload: Payload, issued_at: i64) -> Result<Valid> {
    let db = &state.db;
    let user = user::table::by_id(db, &payload.user_id).await?;
    let user = user
        .filter(|u| u.enabled)
        .ok_or_else(|| refused("user was deleted or is disabled"))?;
    let user_domain = project::table::by_id(db, &user.domain_id).await?;
    let user_domain = user_domain
        .filter(|d| d.enabled)
        .ok_or_else(|| refused("domain was deleted or is disabled"))?;
    let (kind, target_id) = match &payload.scope {
        Scope::Unscoped => {
            return Ok(Valid {
                payload,
                issued_at,
                user,
                user_domain_name: user_domain.name,
                target: None,
                target_domain_name: String::new(),
                roles: vec![],
                credential: None,
            });
        }
        Scope::Project(id) | Scope::AppCredential { project_id: id, .. } => ("project", id.clone()),
        Scope::Domain(id) => ("domain", id.clone()),
        Scope::System => ("system", "all".to_owned()),
    };
    let mut held = roles(state, &user.id, kind, &target_id).await?;
    let mut used = None;
    if let Scope::AppCredential { id, .. } = &payload.scope {
        let credential = user::table::credential(db, id).await?;
        let credential = credential.ok_or_else(|| refused("application credential was deleted"))?;
        held.retain(|r| credential.roles.contains(&r.id));
        used = Some(credential);
    }
    if held.is_empty() {
        return Err(refused("no role on the target"));
    }
    let (mut target, mut target_domain_name) = (None, String::new());
    if kind != "system" {
        let found = project::table::by_id(db, &target_id).await?;
        let found = found
            .filter(|p| p.enabled)
            .ok_or_else(|| refused("target was deleted or is disabled"))?;
        if !found.is_domain {
            let domain = project::ops::enabled_domain_of(state, &found).await?;
            let domain = domain.ok_or_else(|| refused("parent or domain is disabled"))?;
            target_domain_name = domain.name;
        }
        target = Some(found);
    }
    Ok(Valid {
        payload,
        issued_at,
        user,
        user_domain_name: user_domain.name,
        target,
        target_domain_name,
        roles: held,
        credential: used,
    })
}

/// Effective roles on a target: assigned and implied ones.
async fn roles(state: &State, user_id: &str, kind: &str, target: &str) -> Result<Vec<role::Role>> {
    let held = role::table::held(&state.db, user_id, kind, target).await?;
    if held.is_empty() {
        return Ok(vec![]);
    }
    let all = role::table::list(&state.db).await?;
    let implied = role::table::implied(&state.db).await?;
    Ok(role::with_implied(&all, &implied, &held))
}

/// Which tokens a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The token and all that were issued from it or from its ancestors.
    Chain,
    /// This token only.
    One,
}

/// Revokes tokens; takes effect on this server at once.
pub(crate) async fn revoke(state: &State, valid: &Valid, extent: Extent) -> Result<()> {
    let now = clock::now_micros() / MICROS;
    let revoked = db::write!(state.db, |tx| {
        table::forget(tx, now - EXPIRED_WINDOW).await?;
        // The first audit id is the token's own, the last one that of the
        // chain's first token, which every token of the chain carries.
        let ids = &valid.payload.audit_ids;
        let revoked = match extent {
            Extent::Chain => ids.last().cloned(),
            Extent::One => ids.first().map(|own| table::single(own)),
        };
        if let Some(id) = revoked {
            table::revoke(tx, &id, valid.payload.expires_at).await?;
        }
        Ok(())
    });
    state.cache.clear();
    match revoked {
        // Another request revokes the same token concurrently.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        other => other,
    }
}

pub(crate) async fn find_domain(
    state: &State,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Option<Project>> {
    let found = match (id, name) {
        (Some(id), _) => project::table::by_id(&state.db, id).await?,
        (None, Some(name)) => project::table::by_name(&state.db, "", name).await?,
        (None, None) => None,
    };
    Ok(found.filter(|d| d.is_domain))
}

async fn find_user(state: &State, r: &Reference) -> Result<Option<User>> {
    if let Some(id) = &r.id {
        return user::table::by_id(&state.db, id).await;
    }
    let domain = find_domain(state, r.domain_id.as_deref(), r.domain_name.as_deref()).await?;
    match (domain, &r.name) {
        (Some(domain), Some(name)) => user::table::by_name(&state.db, &domain.id, name).await,
        _ => Ok(None),
    }
}

async fn find_project(state: &State, r: &Reference) -> Result<Option<Project>> {
    if let Some(id) = &r.id {
        return project::table::by_id(&state.db, id).await;
    }
    let domain = find_domain(state, r.domain_id.as_deref(), r.domain_name.as_deref()).await?;
    match (domain, &r.name) {
        (Some(domain), Some(name)) => project::table::by_name(&state.db, &domain.id, name).await,
        _ => Ok(None),
    }
}

async fn find_credential(
    state: &State,
    credential: &Reference,
    user: &Reference,
) -> Result<Option<user::table::AppCredential>> {
    if let Some(id) = &credential.id {
        return user::table::credential(&state.db, id).await;
    }
    match (find_user(state, user).await?, &credential.name) {
        (Some(user), Some(name)) => {
            user::table::credential_by_name(&state.db, &user.id, name).await
        }
        _ => Ok(None),
    }
}
