//! Creating, changing and deleting groups, and their memberships.

use db::{Table as _, Tx};
use kernel::{Error, Kind, Result};

use super::wire::GroupFields;
use super::{Group, table};
use crate::attributes::{Attributes, merge_extra};
use crate::cascade;
use crate::errors::{as_conflict, missing};
use crate::ids::GroupId;
use crate::state::State;
use crate::user;

pub(crate) async fn get(state: &State, id: &str) -> Result<Group> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("group", id))
}

/// Creates a group in an existing domain.
pub(crate) async fn create(state: &State, domain_id: &str, fields: GroupFields) -> Result<Group> {
    let mut group = Group {
        id: GroupId::random(),
        name: String::new(),
        domain_id: domain_id.into(),
        description: String::new(),
        extra: Attributes::default(),
    };
    apply(&mut group, fields)?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        crate::domain::ops::lock(tx, domain_id).await?;
        refuse_similar(tx, &group).await?;
        group.insert(tx).await
    })
    .map_err(|e| duplicate(e, &group))?;
    Ok(group)
}

pub(crate) async fn update(state: &State, id: &str, fields: GroupFields) -> Result<Group> {
    db::write!(state.db, |tx| {
        let Some(mut group) = table::lock(tx, id).await? else {
            return Err(missing("group", id));
        };
        if fields
            .domain_id
            .as_ref()
            .is_some_and(|d| *d != group.domain_id)
        {
            return Err(Error::invalid("domain_id", "Cannot change Domain ID"));
        }
        let renamed = apply(&mut group, fields.clone())?;
        if renamed {
            refuse_similar(tx, &group).await?;
        }
        let updated = table::update(tx, &group).await;
        updated.map_err(|e| duplicate(e, &group))?;
        Ok(group)
    })
}

/// Applies a change; returns whether the name is another one.
fn apply(group: &mut Group, fields: GroupFields) -> Result<bool> {
    let mut renamed = false;
    if let Some(name) = fields.name {
        renamed = name != group.name;
        group.name = name;
    }
    if let Some(text) = fields.description {
        group.description = text.unwrap_or_default();
    }
    merge_extra(&mut group.extra.0, fields.extra)?;
    Ok(renamed)
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if cascade::delete_group(tx, id).await? {
            return Ok(());
        }
        Err(missing("group", id))
    });
    state.cache.clear();
    deleted
}

/// Adds a user; succeeds if the user is in the group already.
pub(crate) async fn add_member(state: &State, group_id: &str, user_id: &str) -> Result<()> {
    let added = db::write!(state.db, |tx| {
        lock_both(tx, group_id, user_id).await?;
        table::add_member(tx, group_id, user_id).await
    });
    state.cache.clear();
    match added {
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Removes a user, whose tokens end, as in Keystone.
pub(crate) async fn remove_member(state: &State, group_id: &str, user_id: &str) -> Result<()> {
    let removed = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        let mut user = lock_both(tx, group_id, user_id).await?;
        if table::remove_member(tx, group_id, user_id).await? == 0 {
            return Err(no_member(group_id, user_id));
        }
        user.tokens_after = user::ops::void_from(&user);
        user::table::update(tx, &user).await.map(|_| ())
    });
    state.cache.clear();
    removed
}

/// Locks a user and a group, so that neither is deleted before a membership is stored.
async fn lock_both(tx: &mut Tx, group_id: &str, user_id: &str) -> Result<user::User> {
    let user = user::table::lock(tx, user_id).await?;
    if table::lock(tx, group_id).await?.is_none() {
        return Err(missing("group", group_id));
    }
    user.ok_or_else(|| missing("user", user_id))
}

/// 404: the user is not in the group.
pub(crate) fn no_member(group_id: &str, user_id: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format!("User '{user_id}' not found in group '{group_id}'"),
    )
}

/// Names that differ in case only are refused, because they cannot be
/// distinguished on databases that ignore case.
async fn refuse_similar(tx: &mut Tx, group: &Group) -> Result<()> {
    if table::has_similar(tx, group).await? {
        return Err(duplicate(Error::exists(""), group));
    }
    Ok(())
}

fn duplicate(e: Error, g: &Group) -> Error {
    as_conflict(
        e,
        format!(
            "Conflict occurred attempting to store group - Duplicate entry found with name {} at domain ID {}.",
            g.name, g.domain_id
        ),
    )
}
