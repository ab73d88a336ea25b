//! Creating, changing and deleting roles.

use db::Tx;
use kernel::{Error, Result};

use super::wire::RoleFields;
use super::{Role, table};
use crate::attributes::{Attributes, merge_small_extra};
use crate::cascade;
use crate::errors::{as_conflict, immutable, missing};
use crate::ids::RoleId;
use crate::options;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<Role> {
    let all = table::list(&state.db).await?;
    all.into_iter()
        .find(|r| r.id == id)
        .ok_or_else(|| missing("role", id))
}

pub(crate) async fn create(state: &State, fields: RoleFields) -> Result<Role> {
    let mut role = Role {
        id: RoleId::random(),
        name: fields.name.unwrap_or_default(),
        domain_id: fields.domain_id.flatten().map(Into::into),
        description: fields.description.flatten().unwrap_or_default(),
        options: Attributes::default(),
        extra: Attributes::default(),
    };
    merge_small_extra(&mut role.extra.0, fields.extra)?;
    if let Some(change) = fields.options {
        options::apply(options::Kind::Resource, &mut role.options.0, change)?;
    }
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if let Some(domain) = &role.domain_id {
            crate::domain::ops::lock(tx, domain).await?;
        }
        refuse_similar(tx, &role).await?;
        table::insert(tx, &role).await
    })
    .map_err(|e| duplicate(e, &role))?;
    Ok(role)
}

pub(crate) async fn update(state: &State, id: &str, fields: RoleFields) -> Result<Role> {
    let stored = db::write!(state.db, |tx| {
        let Some(mut role) = table::lock(tx, id).await? else {
            return Err(missing("role", id));
        };
        let renamed = apply(&mut role, fields.clone())?;
        if renamed {
            refuse_similar(tx, &role).await?;
        }
        let updated = table::update(tx, &role).await;
        updated.map_err(|e| duplicate(e, &role))?;
        Ok(role)
    });
    state.cache.clear();
    stored
}

/// Applies a change; returns whether the name is another one.
fn apply(role: &mut Role, fields: RoleFields) -> Result<bool> {
    let was_immutable = role.is_immutable();
    if let Some(change) = fields.options {
        options::apply(options::Kind::Resource, &mut role.options.0, change)?;
    }
    // The policies refer to the built-in roles: they stay immutable.
    if role.is_built_in() || (was_immutable && role.is_immutable()) {
        return Err(immutable("update", "role", &role.id));
    }
    if fields
        .domain_id
        .is_some_and(|d| d.as_deref() != role.domain_id.as_deref())
    {
        let text = "Update of `domain_id` is not allowed.";
        return Err(Error::invalid("domain_id", text));
    }
    let mut renamed = false;
    if let Some(name) = fields.name {
        renamed = name != role.name;
        role.name = name;
    }
    if let Some(text) = fields.description {
        role.description = text.unwrap_or_default();
    }
    merge_small_extra(&mut role.extra.0, fields.extra)?;
    Ok(renamed)
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        let Some(role) = table::lock(tx, id).await? else {
            return Err(missing("role", id));
        };
        if role.is_immutable() {
            return Err(immutable("delete", "role", id));
        }
        cascade::delete_role(tx, id).await
    });
    state.cache.clear();
    deleted
}

/// Names that differ in case only are refused, because policies ignore the case
/// of roles.
async fn refuse_similar(tx: &mut Tx, role: &Role) -> Result<()> {
    if table::has_similar(tx, role).await? {
        return Err(duplicate(Error::exists(""), role));
    }
    Ok(())
}

fn duplicate(e: Error, r: &Role) -> Error {
    let place = r.domain_id.as_ref();
    let place = place.map_or_else(String::new, |id| format!(" at domain ID {id}"));
    let text = format!(
        "Conflict occurred attempting to store role - Duplicate entry found with name {}{place}.",
        r.name
    );
    as_conflict(e, text)
}
