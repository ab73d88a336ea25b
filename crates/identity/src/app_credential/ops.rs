//! Creating application credentials.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use db::{Table as _, Tx};
use kernel::{Error, Kind, Result, Timestamp, UserId, clock};
use serde_json::Value;

use super::creator::{check_again, check_rules, unassigned_role};
use super::wire::CredentialFields;
use super::{AppCredential, table};
use crate::access_rule;
use crate::access_rule::stored::CredentialRules;
use crate::errors::{as_conflict, missing, wrong};
use crate::ids::{CredentialId, RoleId};
use crate::password;
use crate::state::State;
use crate::token::Valid;
use crate::token::payload::Scope;

pub(crate) async fn get(state: &State, user_id: &str, id: &str) -> Result<AppCredential> {
    let found = table::by_id(&state.db, id).await?;
    found
        .filter(|c| c.user_id == user_id)
        .ok_or_else(|| missing("Application Credential", id))
}

/// Maximum number of application credentials of a user, so that no user can fill the
/// database; Keystone has the option `user_limit` for it.
const USER_LIMIT: i64 = 100;

/// Creates one in the project of the caller's token; returns the secret, which
/// cannot be read later.
pub(crate) async fn create(
    state: &State,
    by: &Valid,
    fields: CredentialFields,
) -> Result<(AppCredential, String)> {
    let project = by.project_id().and(by.target.as_ref()).ok_or_else(|| {
        Error::invalid(
            "project_id",
            "Invalid application credential: a project-scoped token is needed to create one.",
        )
    })?;
    if let Some(id) = fields.project_id.as_ref().filter(|id| **id != project.id) {
        return Err(wrong(
            "project_id",
            id,
            "an application credential belongs to the project of the token.",
        ));
    }
    let mut credential = AppCredential {
        id: CredentialId::random(),
        name: fields.name.unwrap_or_default(),
        user_id: by.user.id.clone(),
        project_id: project.id.clone(),
        secret_hash: String::new(),
        roles: roles(by, fields.roles)?,
        expires_at: expiry(fields.expires_at)?,
        description: fields.description,
        unrestricted: fields.unrestricted.unwrap_or(false),
        access_rules: CredentialRules::default(),
    };
    let secret = match fields.secret {
        Some(given) if given.is_empty() => {
            return Err(wrong("secret", "***", "it must not be empty."));
        }
        Some(given) => given,
        None => new_secret()?,
    };
    credential.secret_hash = password::hash(secret.clone()).await?;
    let stored = db::write!(state.db, |tx| {
        // The secret cannot be read later.
        tx.write_receipt().await?;
        check_again(tx, by, &credential).await?;
        refuse_beyond_limit(tx, &credential.user_id).await?;
        let mut credential = credential.clone();
        credential.access_rules =
            access_rule::ops::find_or_create(tx, &credential.user_id, &fields.access_rules).await?;
        check_rules(by, &credential.access_rules)?;
        credential.insert(tx).await?;
        Ok(credential)
    })
    .map_err(|e| {
        let text = format!("Conflict occurred attempting to store application_credential - Duplicate entry found with name {}.", credential.name);
        as_conflict(e, text)
    })?;
    Ok((stored, secret))
}

/// The user is locked, because requests that count at the same time would exceed the
/// limit together.
async fn refuse_beyond_limit(tx: &mut Tx, user_id: &UserId) -> Result<()> {
    if table::count_of_user(tx, user_id).await? >= USER_LIMIT {
        return Err(Error::forbidden(format!(
            "Unable to create additional application credentials, maximum of {USER_LIMIT} already exceeded for user."
        )));
    }
    Ok(())
}

pub(crate) async fn delete(state: &State, user_id: &str, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::delete(tx, user_id, id).await? == 0 {
            return Err(missing("Application Credential", id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}

/// The ids of the requested roles, each once, which the token must hold; all roles
/// if none were requested.
fn roles(by: &Valid, requested: Option<Value>) -> Result<Vec<RoleId>> {
    let requested = match requested {
        None | Some(Value::Null) => return Ok(by.roles.iter().map(|r| r.id.clone()).collect()),
        // The openstack client's notation for all roles.
        Some(Value::Array(requested)) if requested.is_empty() => {
            return Ok(by.roles.iter().map(|r| r.id.clone()).collect());
        }
        Some(Value::Array(requested)) => requested,
        Some(other) => {
            return Err(wrong(
                "roles",
                &other.to_string(),
                "a list of {\"id\"} or {\"name\"} is expected.",
            ));
        }
    };
    if requested.len() > by.roles.len() {
        let (count, held) = (requested.len().to_string(), by.roles.len());
        let why = format!("at most the {held} roles of the token can be listed, each once.");
        return Err(wrong("roles", &format!("{count} items"), &why));
    }
    let mut ids = Vec::new();
    for item in &requested {
        let id = held_role(by, item)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The id of a requested role, which is given by its id or by its name.
fn held_role(by: &Valid, item: &Value) -> Result<RoleId> {
    let only = item.as_object().filter(|o| o.len() == 1);
    let only = only.and_then(|o| o.iter().next());
    let held = match only.map(|(key, value)| (key.as_str(), value.as_str())) {
        Some(("id", Some(id))) => by.roles.iter().find(|r| r.id == id),
        Some(("name", Some(name))) => by.roles.iter().find(|r| r.name == name),
        _ => {
            let why = "either {\"id\"} or {\"name\"} is expected.";
            return Err(wrong("roles", &item.to_string(), why));
        }
    };
    held.map(|r| r.id.clone()).ok_or_else(unassigned_role)
}

pub(crate) fn expiry(text: Option<String>) -> Result<Option<Timestamp>> {
    let Some(text) = text else {
        return Ok(None);
    };
    // Clients send it without a time zone, meaning UTC.
    let at = Timestamp::parse_iso(&text).or_else(|| Timestamp::parse_iso(&format!("{text}Z")));
    match at {
        Some(at) if at > clock::now() => Ok(Some(at)),
        Some(_) => Err(wrong("expires_at", &text, "it must not be in the past.")),
        None => Err(wrong(
            "expires_at",
            &text,
            "an ISO 8601 moment is expected.",
        )),
    }
}

fn new_secret() -> Result<String> {
    let mut bytes = [0_u8; 64];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A token of a trust or of a restricted credential must not create or list
/// credentials, since otherwise a credential could outlive the trust, or a leaked one its
/// deletion.
pub(crate) async fn refuse_delegated(state: &State, by: &Valid) -> Result<()> {
    let id = match &by.payload.scope {
        Scope::AppCredential { id, .. } => id,
        Scope::Trust { .. } => {
            return Err(Error::forbidden(
                "Cannot manage application credentials with a token issued via delegation.",
            ));
        }
        _ => return Ok(()),
    };
    let own = table::by_id(&state.db, id).await?;
    if own.is_some_and(|c| c.unrestricted) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "You are not authorized to perform the requested action: Using method 'application_credential' is not allowed for managing additional application credentials..",
    ))
}
