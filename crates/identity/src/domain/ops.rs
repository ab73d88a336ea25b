//! Creating, changing and deleting domains.

use db::Table as _;
use kernel::{Error, Result, ids};

use crate::Identity;
use crate::call::{Fields, as_conflict, missing};
use crate::project::{self, Project};
use crate::user;

pub(crate) async fn get(identity: &Identity, id: &str) -> Result<Project> {
    let found = project::table::by_id(&identity.db, id).await?;
    found
        .filter(|p| p.is_domain)
        .ok_or_else(|| missing("domain", id))
}

pub(crate) async fn create(identity: &Identity, fields: &Fields) -> Result<Project> {
    let domain = Project {
        id: ids::hex(),
        name: fields.required_name(64)?,
        domain_id: String::new(),
        parent_id: None,
        is_domain: true,
        enabled: fields.boolean("enabled")?.unwrap_or(true),
        description: fields
            .nullable("description", 65_535)?
            .flatten()
            .unwrap_or_default(),
    };
    db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        domain.insert(tx).await
    })
    .map_err(|e| duplicate(e, &domain))?;
    Ok(domain)
}

pub(crate) async fn update(identity: &Identity, id: &str, fields: &Fields) -> Result<Project> {
    let mut domain = get(identity, id).await?;
    if let Some(name) = fields.name(64)? {
        domain.name = name;
    }
    if let Some(text) = fields.nullable("description", 65_535)? {
        domain.description = text.unwrap_or_default();
    }
    if let Some(enabled) = fields.boolean("enabled")? {
        // Keystone allows it, although it locks out all users permanently.
        if !enabled && id == "default" {
            return Err(Error::forbidden(
                "Cannot disable the default domain: nobody could log in to enable it again.",
            ));
        }
        domain.enabled = enabled;
    }
    let stored = db::write!(identity.db, |tx| project::table::update(tx, &domain).await);
    identity.cache.clear();
    stored.map_err(|e| duplicate(e, &domain))?;
    Ok(domain)
}

/// Deletes a disabled domain with its projects and users.
pub(crate) async fn delete(identity: &Identity, id: &str) -> Result<()> {
    let domain = get(identity, id).await?;
    if id == "default" {
        return Err(Error::forbidden("Cannot delete the default domain."));
    }
    if domain.enabled {
        return Err(Error::forbidden(
            "Cannot delete a domain that is enabled, please disable it first.",
        ));
    }
    let projects = project::table::list(&identity.db).await?;
    let users = user::table::list(&identity.db).await?;
    let deleted = db::write!(identity.db, |tx| {
        for user in users.iter().filter(|u| u.domain_id == id) {
            user::table::delete(tx, &user.id).await?;
        }
        for project in projects.iter().filter(|p| p.domain_id == id) {
            project::table::delete(tx, &project.id).await?;
        }
        project::table::delete(tx, id).await
    });
    identity.cache.clear();
    deleted.map(|_| ())
}

fn duplicate(e: Error, d: &Project) -> Error {
    let text = format!(
        "Conflict occurred attempting to store domain - Duplicate entry found with name {}.",
        d.name
    );
    as_conflict(e, text)
}
