//! Creating, changing and deleting roles.

use db::Table as _;
use kernel::{Error, Result, ids};

use super::{Role, is_built_in, table};
use crate::Identity;
use crate::call::{Fields, as_conflict, missing};

pub(crate) async fn get(identity: &Identity, id: &str) -> Result<Role> {
    let all = table::list(&identity.db).await?;
    all.into_iter()
        .find(|r| r.id == id)
        .ok_or_else(|| missing("role", id))
}

pub(crate) async fn create(identity: &Identity, fields: &Fields) -> Result<Role> {
    if fields.nullable("domain_id", 64)?.flatten().is_some() {
        return Err(Error::invalid(
            "domain_id",
            "Invalid input for field/attribute domain_id. Roles of one domain are not supported; leave it out.",
        ));
    }
    let role = Role {
        id: ids::hex(),
        name: fields.required_name(255)?,
        description: fields
            .nullable("description", 65_535)?
            .flatten()
            .unwrap_or_default(),
    };
    db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        role.insert(tx).await
    })
    .map_err(|e| duplicate(e, &role))?;
    Ok(role)
}

pub(crate) async fn update(identity: &Identity, id: &str, fields: &Fields) -> Result<Role> {
    let mut role = get(identity, id).await?;
    mutable(&role, "update")?;
    if let Some(name) = fields.name(255)? {
        role.name = name;
    }
    if let Some(text) = fields.nullable("description", 65_535)? {
        role.description = text.unwrap_or_default();
    }
    let stored = db::write!(identity.db, |tx| table::update(tx, &role).await);
    identity.cache.clear();
    stored.map_err(|e| duplicate(e, &role))?;
    Ok(role)
}

pub(crate) async fn delete(identity: &Identity, id: &str) -> Result<()> {
    mutable(&get(identity, id).await?, "delete")?;
    let deleted = db::write!(identity.db, |tx| table::delete(tx, id).await);
    identity.cache.clear();
    deleted.map(|_| ())
}

/// The policies refer to these roles: without them no caller could do anything.
fn mutable(role: &Role, verb: &str) -> Result<()> {
    if !is_built_in(&role.name) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "Unable to {verb} immutable role resource: `{}. Set resource option \"immutable\" to false first.",
        role.id
    )))
}

fn duplicate(e: Error, r: &Role) -> Error {
    let text = format!(
        "Conflict occurred attempting to store role - Duplicate entry found with name {}.",
        r.name
    );
    as_conflict(e, text)
}
