//! Creating, changing and deleting projects.

use db::Table as _;
use kernel::{Error, Result, ids};

use super::{MAX_DEPTH, Project, table};
use crate::Identity;
use crate::call::{Fields, as_conflict, missing, wrong};

pub(crate) async fn get(identity: &Identity, id: &str) -> Result<Project> {
    let found = table::by_id(&identity.db, id).await?;
    found.ok_or_else(|| missing("project", id))
}

pub(crate) async fn create(
    identity: &Identity,
    domain_id: &str,
    fields: &Fields,
) -> Result<Project> {
    reject_unsupported(fields)?;
    if fields.boolean("is_domain")? == Some(true) {
        return Err(wrong(
            "is_domain",
            "true",
            "create a domain under /v3/domains instead.",
        ));
    }
    crate::domain::ops::get(identity, domain_id).await?;
    let parent = fields.nullable("parent_id", 64)?.flatten();
    if let Some(parent) = &parent {
        check_parent(identity, domain_id, parent).await?;
    }
    let project = Project {
        id: ids::hex(),
        name: fields.required_name(64)?,
        domain_id: domain_id.to_owned(),
        parent_id: Some(parent.unwrap_or_else(|| domain_id.to_owned())),
        is_domain: false,
        enabled: fields.boolean("enabled")?.unwrap_or(true),
        description: fields
            .nullable("description", 65_535)?
            .flatten()
            .unwrap_or_default(),
    };
    db::write!(identity.db, |tx| {
        tx.write_receipt().await?;
        project.insert(tx).await
    })
    .map_err(|e| duplicate(e, &project))?;
    Ok(project)
}

/// Whether a project may be put below this parent.
async fn check_parent(identity: &Identity, domain_id: &str, parent_id: &str) -> Result<()> {
    let mut at = get(identity, parent_id).await?;
    if at.id == domain_id {
        return Ok(());
    }
    if at.is_domain || at.domain_id != domain_id {
        return Err(Error::invalid(
            "parent_id",
            format!(
                "Cannot create project, since it specifies its domain_id {domain_id}, but specifies a parent in a different domain ({}).",
                if at.is_domain { &at.id } else { &at.domain_id }
            ),
        ));
    }
    if !at.enabled {
        return Err(Error::forbidden(format!(
            "Cannot create project, since its parent {parent_id} is disabled."
        )));
    }
    let mut depth = 1;
    while let Some(up) = at.parent_id.clone().filter(|p| p != domain_id) {
        depth += 1;
        if depth >= MAX_DEPTH {
            return Err(Error::forbidden(format!(
                "Max hierarchy depth reached for {parent_id} branch."
            )));
        }
        at = get(identity, &up).await?;
    }
    Ok(())
}

pub(crate) async fn update(identity: &Identity, id: &str, fields: &Fields) -> Result<Project> {
    reject_unsupported(fields)?;
    let mut project = get(identity, id).await?;
    if fields
        .nullable("parent_id", 64)?
        .is_some_and(|p| p != project.parent_id)
    {
        return Err(Error::forbidden("Update of `parent_id` is not allowed."));
    }
    if fields
        .text("domain_id", 64)?
        .is_some_and(|d| d != project.domain_id)
    {
        return Err(Error::invalid("domain_id", "Cannot change Domain ID"));
    }
    if fields
        .boolean("is_domain")?
        .is_some_and(|d| d != project.is_domain)
    {
        return Err(Error::forbidden("Update of `is_domain` is not allowed."));
    }
    if project.is_domain {
        return crate::domain::ops::update(identity, id, fields).await;
    }
    if let Some(name) = fields.name(64)? {
        project.name = name;
    }
    if let Some(text) = fields.nullable("description", 65_535)? {
        project.description = text.unwrap_or_default();
    }
    if let Some(enabled) = fields.boolean("enabled")? {
        if !enabled && children(identity, id).await?.iter().any(|p| p.enabled) {
            return Err(Error::forbidden(format!(
                "Cannot disable project {id} since its subtree contains enabled projects."
            )));
        }
        if enabled && !project.enabled && enabled_domain_of(identity, &project).await?.is_none() {
            return Err(Error::forbidden(format!(
                "Cannot enable project {id} since it has disabled parents"
            )));
        }
        project.enabled = enabled;
    }
    let stored = db::write!(identity.db, |tx| table::update(tx, &project).await);
    identity.cache.clear();
    stored.map_err(|e| duplicate(e, &project))?;
    Ok(project)
}

pub(crate) async fn delete(identity: &Identity, id: &str) -> Result<()> {
    let project = get(identity, id).await?;
    if project.is_domain {
        return crate::domain::ops::delete(identity, id).await;
    }
    if !children(identity, id).await?.is_empty() {
        return Err(Error::forbidden(format!(
            "Cannot delete the project {id} since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree."
        )));
    }
    let deleted = db::write!(identity.db, |tx| table::delete(tx, id).await);
    identity.cache.clear();
    deleted.map(|_| ())
}

/// The domain of a project, if the domain and all projects between them are
/// enabled.
pub(crate) async fn enabled_domain_of(
    identity: &Identity,
    project: &Project,
) -> Result<Option<Project>> {
    let db = &identity.db;
    let mut parent = project.parent_id.clone();
    for _ in 0..=MAX_DEPTH {
        match parent.filter(|id| *id != project.domain_id) {
            None => break,
            Some(id) => match table::by_id(db, &id).await? {
                Some(above) if above.enabled => parent = above.parent_id,
                _ => return Ok(None),
            },
        }
    }
    let domain = table::by_id(db, &project.domain_id).await?;
    Ok(domain.filter(|d| d.enabled))
}

async fn children(identity: &Identity, id: &str) -> Result<Vec<Project>> {
    let all = table::list(&identity.db).await?;
    Ok(all
        .into_iter()
        .filter(|p| p.parent_id.as_deref() == Some(id))
        .collect())
}

/// Tags are not supported yet: an error is better than losing them.
fn reject_unsupported(fields: &Fields) -> Result<()> {
    match fields.0.get("tags") {
        Some(tags) if tags.as_array().is_none_or(|t| !t.is_empty()) => Err(wrong(
            "tags",
            &tags.to_string(),
            "project tags are not supported yet; leave them out.",
        )),
        _ => Ok(()),
    }
}

fn duplicate(e: Error, p: &Project) -> Error {
    as_conflict(
        e,
        format!(
            "Conflict occurred attempting to store project - it is not permitted to have two projects with either the same name or same id in the same domain: name is {}, project id {}.",
            p.name, p.id
        ),
    )
}
