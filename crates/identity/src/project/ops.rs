//! Creating, changing and deleting projects.

use db::{Table as _, Tx};
use kernel::{Error, ProjectId, Result};

use super::change::{apply, refuse_similar};
use super::hierarchy::is_below_disabled;
use super::wire::ProjectFields;
use super::{MAX_DEPTH, Project, table};
use crate::attributes::Attributes;
use crate::cascade;
use crate::errors::{as_conflict, immutable, missing};
use crate::options;
use crate::state::State;
use crate::tags::Tags;
use crate::token::time::TokenTime;

pub(crate) async fn get(state: &State, id: &str) -> Result<Project> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("project", id))
}

pub(crate) async fn create(
    state: &State,
    domain_id: &str,
    fields: ProjectFields,
) -> Result<Project> {
    crate::domain::ops::get(state, domain_id).await?;
    let parent = fields.parent_id.flatten();
    let parent = parent.filter(|p| p != domain_id);
    let mut project = Project {
        id: ProjectId::random(),
        name: String::new(),
        domain_id: domain_id.into(),
        parent_id: Some(parent.as_deref().unwrap_or(domain_id).into()),
        is_domain: false,
        enabled: true,
        description: String::new(),
        options: Attributes::default(),
        extra: Attributes::default(),
        tags: Tags::default(),
        tokens_after: TokenTime::default(),
    };
    apply(&mut project, fields.common, "project")?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        let domain = crate::domain::ops::lock(tx, domain_id).await?;
        if let Some(parent) = &parent {
            check_parent(tx, domain_id, parent).await?;
        }
        if !domain.enabled {
            return Err(disabled_parent(domain_id));
        }
        refuse_similar(tx, &project).await?;
        project.insert(tx).await
    })
    .map_err(|e| duplicate(e, &project))?;
    Ok(project)
}

fn disabled_parent(id: &str) -> Error {
    Error::forbidden(format!(
        "Cannot create project, since its parent {id} is disabled."
    ))
}

/// Whether a project may be put below this parent, which is not the domain. The
/// domain is locked.
async fn check_parent(tx: &mut Tx, domain_id: &str, parent_id: &str) -> Result<()> {
    let mut at = read(tx, parent_id).await?;
    if at.is_domain {
        return Err(Error::invalid(
            "parent_id",
            format!(
                "Cannot create project, the parent ({parent_id}) is acting as a domain, but this project's domain id ({domain_id}) does not match the parent's id."
            ),
        ));
    }
    if at.domain_id != domain_id {
        return Err(Error::invalid(
            "parent_id",
            format!(
                "Cannot create project, since it specifies its domain_id {domain_id}, but specifies a parent in a different domain ({}).",
                at.domain_id
            ),
        ));
    }
    if !at.enabled {
        return Err(disabled_parent(parent_id));
    }
    let mut depth = 1;
    while let Some(up) = at.parent_id.clone().filter(|p| p != domain_id) {
        depth += 1;
        if depth >= MAX_DEPTH {
            return Err(Error::forbidden(format!(
                "Max hierarchy depth reached for {parent_id} branch."
            )));
        }
        at = read(tx, &up).await?;
    }
    Ok(())
}

async fn read(tx: &mut Tx, id: &str) -> Result<Project> {
    let found = table::read(tx, id).await?;
    found.ok_or_else(|| missing("project", id))
}

pub(crate) async fn update(state: &State, id: &str, fields: ProjectFields) -> Result<Project> {
    let project = get(state, id).await?;
    check_fixed(&project, &fields)?;
    if project.is_domain {
        return crate::domain::ops::update(state, id, fields.common).await;
    }
    let stored = db::write!(state.db, |tx| {
        let (domain, mut project) = lock_with_domain(tx, &project).await?;
        if fields.common.enabled == Some(false)
            && table::children(tx, id).await?.iter().any(|p| p.enabled)
        {
            return Err(Error::forbidden(format!(
                "Cannot disable project {id} since its subtree contains enabled projects."
            )));
        }
        if fields.common.enabled == Some(true)
            && !project.enabled
            && (domain.is_none_or(|d| !d.enabled) || is_below_disabled(tx, &project).await?)
        {
            return Err(Error::forbidden(format!(
                "Cannot enable project {id} since it has disabled parents"
            )));
        }
        let renamed = apply(&mut project, fields.common.clone(), "project")?;
        if renamed {
            refuse_similar(tx, &project).await?;
        }
        let updated = table::update(tx, &project).await;
        updated.map_err(|e| duplicate(e, &project))?;
        Ok(project)
    });
    state.cache.clear();
    stored
}

/// Changes the tags of a project.
///
/// # Errors
/// `Forbidden` if it is immutable, and the errors of the change.
pub(crate) async fn change_tags(
    state: &State,
    id: &str,
    change: impl Fn(&mut Tags) -> Result<()>,
) -> Result<Project> {
    let stored = db::write!(state.db, |tx| {
        let found = table::lock(tx, id).await?;
        let mut project = found.ok_or_else(|| missing("project", id))?;
        if options::is_set(&project.options.0, options::IMMUTABLE) {
            return Err(immutable("update", "project", id));
        }
        change(&mut project.tags)?;
        project.tags.check_count()?;
        table::update(tx, &project).await?;
        Ok(project)
    });
    state.cache.clear();
    stored
}

/// Locks the domain of a project, which excludes changes of all other projects of the
/// domain, and then the project. A project never changes its domain. Without the
/// domain, the project can still be deleted.
async fn lock_with_domain(tx: &mut Tx, read: &Project) -> Result<(Option<Project>, Project)> {
    let domain = table::lock(tx, &read.domain_id).await?;
    let project = table::lock(tx, &read.id).await?;
    let project = project.ok_or_else(|| missing("project", &read.id))?;
    Ok((domain, project))
}

/// Attributes that no update can change.
fn check_fixed(project: &Project, fields: &ProjectFields) -> Result<()> {
    let forbidden = |name: &str| Error::forbidden(format!("Update of `{name}` is not allowed."));
    if fields
        .parent_id
        .as_ref()
        .is_some_and(|p| p.as_deref() != project.parent_id.as_deref())
    {
        return Err(forbidden("parent_id"));
    }
    let own = (!project.is_domain).then_some(project.domain_id.as_str());
    if fields
        .domain_id
        .as_ref()
        .is_some_and(|d| d.as_deref() != own)
    {
        return Err(Error::invalid("domain_id", "Cannot change Domain ID"));
    }
    if fields.is_domain.is_some_and(|d| d != project.is_domain) {
        return Err(forbidden("is_domain"));
    }
    Ok(())
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let project = get(state, id).await?;
    if project.is_domain {
        return crate::domain::ops::delete(state, id).await;
    }
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        let (_, project) = lock_with_domain(tx, &project).await?;
        if options::is_set(&project.options.0, options::IMMUTABLE) {
            return Err(immutable("delete", "project", id));
        }
        if !table::children(tx, id).await?.is_empty() {
            return Err(Error::forbidden(format!(
                "Cannot delete the project {id} since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree."
            )));
        }
        cascade::delete_project(tx, id).await
    });
    state.cache.clear();
    deleted
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
