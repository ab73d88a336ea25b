//! Creating, changing and deleting users.

use db::Table as _;
use kernel::{Error, Result, clock, ids};

use super::{User, table};
use crate::call::{Fields, as_conflict, missing, wrong};
use crate::{Identity, password, project};

const MICROS: i64 = 1_000_000;
const MAX_PASSWORD: usize = 4096;

pub(crate) async fn get(identity: &Identity, id: &str) -> Result<User> {
    let found = table::by_id(&identity.db, id).await?;
    found.ok_or_else(|| missing("user", id))
}

/// Creates a user in an existing domain.
pub(crate) async fn create(identity: &Identity, domain_id: &str, fields: &Fields) -> Result<User> {
    let mut user = User {
        id: ids::hex(),
        name: fields.required_name(255)?,
        domain_id: domain_id.to_owned(),
        password_hash: None,
        enabled: true,
        default_project_id: None,
        email: None,
        description: String::new(),
        tokens_after: 0,
    };
    let secret = apply(identity, &mut user, fields).await?;
    crate::domain::ops::get(identity, domain_id).await?;
    if let Some(secret) = secret {
        user.password_hash = Some(password::hash(secret).await?);
    }
    let stored = db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        user.insert(tx).await
    });
    identity.cache.clear();
    stored.map_err(|e| duplicate(e, &user))?;
    Ok(user)
}

/// Changes the given fields. A new password and disabling invalidate all tokens
/// of the user.
pub(crate) async fn update(identity: &Identity, id: &str, fields: &Fields) -> Result<User> {
    let mut user = get(identity, id).await?;
    let was_enabled = user.enabled;
    if let Some(domain) = fields.text("domain_id", 64)?
        && domain != user.domain_id
    {
        return Err(Error::invalid("domain_id", "Cannot change Domain ID"));
    }
    if let Some(name) = fields.name(255)? {
        user.name = name;
    }
    let secret = apply(identity, &mut user, fields).await?;
    let voids = secret.is_some() || (was_enabled && !user.enabled);
    if let Some(secret) = secret {
        user.password_hash = Some(password::hash(secret).await?);
    }
    if voids {
        user.tokens_after = void_from(&user);
    }
    store(identity, &user).await?;
    Ok(user)
}

pub(crate) async fn delete(identity: &Identity, id: &str) -> Result<()> {
    let deleted = db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        if table::delete(tx, id).await? == 0 {
            return Err(missing("user", id));
        }
        Ok(())
    });
    identity.cache.clear();
    deleted
}

/// Changes the user's own password, authenticated by the old one.
pub(crate) async fn change_password(identity: &Identity, id: &str, fields: &Fields) -> Result<()> {
    let need = |name: &'static str| -> Result<String> {
        fields
            .text(name, MAX_PASSWORD)?
            .ok_or_else(|| Error::invalid(name, format!("'{name}' is a required property")))
    };
    let (old, new) = (need("original_password")?, need("password")?);
    let found = table::by_id(&identity.db, id).await?.filter(|u| u.enabled);
    let hash = found.as_ref().and_then(|u| u.password_hash.clone());
    if !password::verify(old, hash).await? {
        return Err(Error::unauthenticated());
    }
    let user = found.ok_or_else(Error::unauthenticated)?;
    let hash = password::hash(new).await?;
    let changed = db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        table::change_password(tx, &user, &hash, void_from(&user)).await
    });
    identity.cache.clear();
    // Hashing takes a while: the user may have been disabled in that time, or
    // have got another password.
    if changed? == 0 {
        return Err(Error::unauthenticated());
    }
    Ok(())
}

/// Tokens have whole seconds and are dated to now or to `tokens_after`,
/// whichever is later: all issued tokens are before this time.
fn void_from(user: &User) -> i64 {
    user.tokens_after.max(clock::now_micros() / MICROS) + 1
}

async fn store(identity: &Identity, user: &User) -> Result<()> {
    let stored = db::write!(identity.db, |tx| {
        // A changed password must not be requested again.
        tx.write_receipt().await?;
        if table::update(tx, user).await? == 0 {
            return Err(missing("user", &user.id));
        }
        Ok(())
    });
    identity.cache.clear();
    stored.map_err(|e| duplicate(e, user))
}

/// Applies fields common to create and update; returns the new password.
async fn apply(identity: &Identity, user: &mut User, fields: &Fields) -> Result<Option<String>> {
    if let Some(enabled) = fields.boolean("enabled")? {
        user.enabled = enabled;
    }
    if let Some(email) = fields.nullable("email", 255)? {
        user.email = email;
    }
    if let Some(text) = fields.nullable("description", 65_535)? {
        user.description = text.unwrap_or_default();
    }
    if let Some(id) = fields.nullable("default_project_id", 64)? {
        if let Some(id) = &id
            && project::table::by_id(&identity.db, id)
                .await?
                .is_some_and(|p| p.is_domain)
        {
            let text = format!("User's default project ID cannot be a domain ID: {id}");
            return Err(Error::invalid("default_project_id", text));
        }
        user.default_project_id = id;
    }
    match fields.nullable("password", MAX_PASSWORD) {
        Ok(secret) => Ok(secret.flatten()),
        // The value must not appear in the message.
        Err(_) => Err(wrong(
            "password",
            "***",
            "text of at most 4096 characters is expected.",
        )),
    }
}

fn duplicate(e: Error, u: &User) -> Error {
    as_conflict(
        e,
        format!(
            "Conflict occurred attempting to store user - Duplicate entry found with name {} at domain ID {}.",
            u.name, u.domain_id
        ),
    )
}
