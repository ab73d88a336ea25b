//! Finding the objects that a request for a token names.

use db::Db;
use kernel::{DomainId, Result};

use crate::app_credential::{self, AppCredential};
use crate::project::Project;
use crate::project::reader::ProjectReader;
use crate::token::request::Reference;
use crate::user::{self, User};

/// The domain with this id or, if no id is given, with this name.
pub(super) async fn find_domain(
    projects: &mut ProjectReader<'_>,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Option<Project>> {
    let found = match (id, name) {
        (Some(id), _) => projects.by_id(id).await?,
        (None, Some(name)) => projects.by_name("", name).await?,
        (None, None) => None,
    };
    Ok(found.filter(|d| d.is_domain))
}

/// The id of the domain of a user or project that is named in a domain. A given
/// id is not looked up, because nothing is found in a domain that does not
/// exist.
async fn domain_id_of(projects: &mut ProjectReader<'_>, r: &Reference) -> Result<Option<DomainId>> {
    if let Some(id) = &r.domain_id {
        return Ok(Some(id.into()).filter(|_| !id.is_empty()));
    }
    let domain = find_domain(projects, None, r.domain_name.as_deref()).await?;
    Ok(domain.map(|d| d.as_domain()))
}

pub(super) async fn find_user(db: &Db, r: &Reference) -> Result<Option<User>> {
    if let Some(id) = &r.id {
        return user::table::by_id(db, id).await;
    }
    let domain = domain_id_of(&mut ProjectReader::new(db), r).await?;
    match (domain, &r.name) {
        (Some(domain), Some(name)) => user::table::by_name(db, &domain, name).await,
        _ => Ok(None),
    }
}

pub(super) async fn find_project(
    projects: &mut ProjectReader<'_>,
    r: &Reference,
) -> Result<Option<Project>> {
    if let Some(id) = &r.id {
        return projects.by_id(id).await;
    }
    match (domain_id_of(projects, r).await?, &r.name) {
        (Some(domain), Some(name)) => projects.by_name(&domain, name).await,
        _ => Ok(None),
    }
}

/// `of` is the user of the credential, which is needed if the credential is given by
/// its name.
pub(super) async fn find_credential(
    db: &Db,
    credential: &Reference,
    of: &Reference,
) -> Result<Option<AppCredential>> {
    if let Some(id) = &credential.id {
        return app_credential::table::by_id(db, id).await;
    }
    match (find_user(db, of).await?, &credential.name) {
        (Some(user), Some(name)) => app_credential::table::by_name(db, &user.id, name).await,
        _ => Ok(None),
    }
}
