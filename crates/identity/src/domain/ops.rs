//! Creating, changing and deleting domains.

use db::{Table as _, Tx};
use kernel::{DomainId, Error, ProjectId, Result};

use crate::attributes::Attributes;
use crate::cascade;
use crate::errors::{as_conflict, immutable, missing};
use crate::project::change::{apply, refuse_similar};
use crate::project::wire::CommonFields;
use crate::project::{self, Project};
use crate::state::State;
use crate::tags::Tags;
use crate::token::time::TokenTime;
use crate::{domain_config, group, options, role, user};

pub(crate) async fn get(state: &State, id: &str) -> Result<Project> {
    let found = project::table::by_id(&state.db, id).await?;
    found
        .filter(|p| p.is_domain)
        .ok_or_else(|| missing("domain", id))
}

/// A domain, locked until the transaction ends. The lock excludes all changes of its
/// hierarchy of projects, new users, new groups and new roles of the domain.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Project> {
    let found = project::table::lock(tx, id).await?;
    found
        .filter(|p| p.is_domain)
        .ok_or_else(|| missing("domain", id))
}

pub(crate) async fn create(
    state: &State,
    explicit_id: Option<String>,
    fields: CommonFields,
) -> Result<Project> {
    let mut domain = Project {
        id: explicit_id
            .as_deref()
            .map_or_else(ProjectId::random, Into::into),
        name: String::new(),
        domain_id: DomainId::default(),
        parent_id: None,
        is_domain: true,
        enabled: true,
        description: String::new(),
        options: Attributes::default(),
        extra: Attributes::default(),
        tags: Tags::default(),
        tokens_after: TokenTime::default(),
    };
    apply(&mut domain, fields, "domain")?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        refuse_similar(tx, &domain).await?;
        domain.insert(tx).await
    })
    .map_err(|e| match explicit_id {
        Some(id) => as_conflict(e, format!(
            "Conflict occurred attempting to store domain - Duplicate entry found with name {} or domain ID {id}.",
            domain.name
        )),
        None => duplicate(e, &domain),
    })?;
    Ok(domain)
}

pub(crate) async fn update(state: &State, id: &str, fields: CommonFields) -> Result<Project> {
    // Keystone allows it, although it locks out all users permanently.
    if fields.enabled == Some(false) && id == "default" {
        return Err(Error::forbidden(
            "Cannot disable the default domain: no user could log in to enable it again.",
        ));
    }
    let stored = db::write!(state.db, |tx| {
        let mut domain = lock(tx, id).await?;
        let renamed = apply(&mut domain, fields.clone(), "domain")?;
        if renamed {
            refuse_similar(tx, &domain).await?;
        }
        let updated = project::table::update(tx, &domain).await;
        updated.map_err(|e| duplicate(e, &domain))?;
        Ok(domain)
    });
    state.cache.clear();
    stored
}

/// Deletes a disabled domain with its projects, users, groups, roles and configuration.
pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        let domain = lock(tx, id).await?;
        if id == "default" {
            return Err(Error::forbidden("Cannot delete the default domain."));
        }
        if options::is_set(&domain.options.0, options::IMMUTABLE) {
            return Err(immutable("delete", "domain", id));
        }
        if domain.enabled {
            return Err(Error::forbidden(
                "Cannot delete a domain that is enabled, please disable it first.",
            ));
        }
        let projects = project::table::ids_in_domain(tx, id).await?;
        for project in &projects {
            project::table::lock(tx, project).await?;
        }
        let users = user::table::ids_in_domain(tx, id).await?;
        for user in &users {
            user::table::lock(tx, user).await?;
        }
        for user in &users {
            cascade::delete_user(tx, user).await?;
        }
        for group in group::table::ids_in_domain(tx, id).await? {
            cascade::delete_group(tx, &group).await?;
        }
        for role in role::table::ids_in_domain(tx, id).await? {
            role::table::lock(tx, &role).await?;
            cascade::delete_role(tx, &role).await?;
        }
        for project in &projects {
            cascade::delete_project(tx, project).await?;
        }
        domain_config::table::delete(tx, id).await?;
        cascade::delete_project(tx, id).await
    });
    state.cache.clear();
    deleted
}

fn duplicate(e: Error, d: &Project) -> Error {
    let text = format!(
        "Conflict occurred attempting to store domain - Duplicate entry found with name {}.",
        d.name
    );
    as_conflict(e, text)
}
