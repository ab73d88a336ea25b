//! Creating, changing and deleting users.

use db::{Table as _, Tx};
use kernel::{Error, Result, UserId};

use super::wire::{PasswordChange, UserFields};
use super::{User, table};
use crate::attributes::{Attributes, merge_extra};
use crate::cascade;
use crate::errors::{as_conflict, missing};
use crate::state::State;
use crate::token::time::TokenTime;
use crate::{options, password, project};

pub(crate) async fn get(state: &State, id: &str) -> Result<User> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("user", id))
}

/// Creates a user in an existing domain.
pub(crate) async fn create(state: &State, domain_id: &str, mut fields: UserFields) -> Result<User> {
    let mut user = User {
        id: UserId::random(),
        name: fields.name.take().unwrap_or_default(),
        domain_id: domain_id.into(),
        password_hash: None,
        enabled: true,
        default_project_id: None,
        email: None,
        description: String::new(),
        tokens_after: TokenTime::default(),
        options: Attributes::default(),
        extra: Attributes::default(),
    };
    check(state, &fields).await?;
    crate::domain::ops::get(state, domain_id).await?;
    let secret = fields.password.take().flatten();
    apply(&mut user, fields)?;
    if let Some(secret) = secret {
        user.password_hash = Some(password::hash(secret).await?);
    }
    let stored = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        crate::domain::ops::lock(tx, domain_id).await?;
        refuse_similar(tx, &user).await?;
        user.insert(tx).await
    });
    state.cache.clear();
    stored.map_err(|e| duplicate(e, &user))?;
    Ok(user)
}

/// Changes the given fields. A new password and disabling invalidate all tokens
/// of the user.
pub(crate) async fn update(state: &State, id: &str, mut fields: UserFields) -> Result<User> {
    check(state, &fields).await?;
    // Hashing takes too long for a transaction.
    let hash = match fields.password.take().flatten() {
        Some(secret) => Some(password::hash(secret).await?),
        None => None,
    };
    let stored = db::write!(state.db, |tx| {
        // A changed password must not be requested again.
        tx.write_receipt().await?;
        let Some(mut user) = table::lock(tx, id).await? else {
            return Err(missing("user", id));
        };
        if fields
            .domain_id
            .as_ref()
            .is_some_and(|d| *d != user.domain_id)
        {
            return Err(Error::invalid("domain_id", "Cannot change Domain ID"));
        }
        let was_enabled = user.enabled;
        let renamed = fields.name.clone().filter(|n| *n != user.name);
        apply(&mut user, fields.clone())?;
        if let Some(renamed) = renamed {
            user.name = renamed;
            refuse_similar(tx, &user).await?;
        }
        if hash.is_some() || (was_enabled && !user.enabled) {
            user.tokens_after = void_from(&user);
        }
        if let Some(hash) = &hash {
            user.password_hash = Some(hash.clone());
        }
        let updated = table::update(tx, &user).await;
        updated.map_err(|e| duplicate(e, &user))?;
        Ok(user)
    });
    state.cache.clear();
    stored
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if table::lock(tx, id).await?.is_none() {
            return Err(missing("user", id));
        }
        cascade::delete_user(tx, id).await
    });
    state.cache.clear();
    deleted
}

/// Changes the user's own password, authenticated by the old one.
pub(crate) async fn change_password(state: &State, id: &str, change: PasswordChange) -> Result<()> {
    let PasswordChange { original, password } = change;
    let found = table::by_id(&state.db, id).await?.filter(|u| u.enabled);
    let hash = found.as_ref().and_then(|u| u.password_hash.clone());
    if !password::verify(original, hash).await? {
        return Err(Error::unauthenticated());
    }
    let user = found.ok_or_else(Error::unauthenticated)?;
    if options::is_set(&user.options.0, options::LOCK_PASSWORD) {
        return Err(Error::invalid(
            "password",
            "You cannot change your password at this time due to password policy disallowing password self-service.",
        ));
    }
    let hash = password::hash(password).await?;
    let changed = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        table::change_password(tx, &user, &hash, void_from(&user)).await
    });
    state.cache.clear();
    // Hashing takes a while: the user may have been disabled in that time, or
    // have got another password.
    if changed? == 0 {
        return Err(Error::unauthenticated());
    }
    Ok(())
}

/// Tokens have whole seconds and are dated to now or to `tokens_after`,
/// whichever is later: all issued tokens are before this time.
pub(crate) fn void_from(user: &User) -> TokenTime {
    user.tokens_after.max(TokenTime::now()).next()
}

/// Checks that need the database, before anything is written.
async fn check(state: &State, fields: &UserFields) -> Result<()> {
    if let Some(Some(id)) = &fields.default_project_id
        && project::table::by_id(&state.db, id)
            .await?
            .is_some_and(|p| p.is_domain)
    {
        let text = format!("User's default project ID cannot be a domain ID: {id}");
        return Err(Error::invalid("default_project_id", text));
    }
    Ok(())
}

/// Applies fields common to create and update, apart from the name and the
/// password.
fn apply(user: &mut User, fields: UserFields) -> Result<()> {
    if let Some(enabled) = fields.enabled {
        user.enabled = enabled;
    }
    if let Some(email) = fields.email {
        user.email = email;
    }
    if let Some(text) = fields.description {
        user.description = text.unwrap_or_default();
    }
    if let Some(id) = fields.default_project_id {
        user.default_project_id = id.map(Into::into);
    }
    if let Some(change) = fields.options {
        options::apply(options::Kind::User, &mut user.options.0, change)?;
    }
    merge_extra(&mut user.extra.0, fields.extra)
}

/// Names that differ in case only are refused, because they cannot be
/// distinguished on databases that ignore case.
async fn refuse_similar(tx: &mut Tx, user: &User) -> Result<()> {
    if table::has_similar(tx, &user.domain_id, &user.name, &user.id).await? {
        return Err(duplicate(Error::exists(""), user));
    }
    Ok(())
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
