//! Finding the objects that a request for a token names.

use db::Db;
use kernel::Result;

use crate::app_credential::{self, AppCredential};
use crate::project::{self, Project};
use crate::token::request::Reference;
use crate::user::{self, User};

/// The domain with this id, or without an id that with this name.
pub(super) async fn find_domain(
    db: &Db,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Option<Project>> {
    let found = match (id, name) {
        (Some(id), _) => project::table::by_id(db, id).await?,
        (None, Some(name)) => project::table::by_name(db, "", name).await?,
        (None, None) => None,
    };
    Ok(found.filter(|d| d.is_domain))
}

/// The domain of a user or project that is named in a domain.
async fn find_domain_of(db: &Db, r: &Reference) -> Result<Option<Project>> {
    find_domain(db, r.domain_id.as_deref(), r.domain_name.as_deref()).await
}

pub(super) async fn find_user(db: &Db, r: &Reference) -> Result<Option<User>> {
    if let Some(id) = &r.id {
        return user::table::by_id(db, id).await;
    }
    match (find_domain_of(db, r).await?, &r.name) {
        (Some(domain), Some(name)) => user::table::by_name(db, &domain.id, name).await,
        _ => Ok(None),
    }
}

pub(super) async fn find_project(db: &Db, r: &Reference) -> Result<Option<Project>> {
    if let Some(id) = &r.id {
        return project::table::by_id(db, id).await;
    }
    match (find_domain_of(db, r).await?, &r.name) {
        (Some(domain), Some(name)) => project::table::by_name(db, &domain.id, name).await,
        _ => Ok(None),
    }
}

/// `of` is the user of a credential that is named.
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
