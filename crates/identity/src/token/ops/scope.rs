//! The scope of a new token.

use db::Db;
use kernel::{Error, Result, clock};

use super::authenticate::Proven;
use super::lookup::{find_domain, find_project};
use crate::errors::unauthenticated;
use crate::project::hierarchy::enabled_domain_of;
use crate::project::reader::ProjectReader;
use crate::role::effective;
use crate::token::payload::Scope;
use crate::token::request::Wanted;
use crate::token::time::TokenTime;
use crate::trust;
use crate::user::User;

/// The scope, and the latest end of a token with it.
///
/// # Errors
/// `Unauthenticated` for an unknown project, domain or trust, and if a scope is given with
/// an application credential; `Forbidden` if a token with the scope of the system
/// requests that of a project or domain.
pub(super) async fn determine(
    (db, projects): (&Db, &mut ProjectReader<'_>),
    proven: &Proven,
    wanted: &Wanted,
) -> Result<(Scope, TokenTime)> {
    if let Wanted::Trust(id) = wanted
        && proven.credential.is_none()
    {
        return trust_scope(db, proven, id).await;
    }
    let scope = without_trust((db, projects), proven, wanted).await?;
    Ok((scope, TokenTime::MAX))
}

async fn without_trust(
    (db, projects): (&Db, &mut ProjectReader<'_>),
    proven: &Proven,
    wanted: &Wanted,
) -> Result<Scope> {
    if let Some(c) = &proven.credential {
        if !matches!(wanted, Wanted::Default) {
            let why = "application credentials cannot request a scope";
            return Err(unauthenticated(why));
        }
        return Ok(Scope::AppCredential {
            project_id: c.project_id.clone(),
            id: c.id.clone(),
        });
    }
    if proven.source_scope == Some(Scope::System)
        && matches!(wanted, Wanted::Project(_) | Wanted::Domain(_))
    {
        return Err(Error::forbidden(
            "You are not authorized to perform the requested action: rescope a scoped token.",
        ));
    }
    match wanted {
        Wanted::Unscoped => Ok(Scope::Unscoped),
        Wanted::System => Ok(Scope::System),
        Wanted::Default => default_scope(db, projects, &proven.user).await,
        Wanted::Project(reference) => {
            let project = find_project(projects, reference).await?;
            // A domain can be used as a project, too.
            let project = project.ok_or_else(|| unauthenticated("unknown project"))?;
            Ok(Scope::Project(project.id))
        }
        Wanted::Domain(reference) => {
            let (id, name) = (reference.id.as_deref(), reference.name.as_deref());
            let domain = find_domain(projects, id, name).await?;
            let domain = domain.ok_or_else(|| unauthenticated("unknown domain"))?;
            Ok(Scope::Domain(domain.as_domain()))
        }
        Wanted::Trust(_) => Err(Error::internal("the scope of a trust is determined before")),
    }
}

/// The scope of a trust; a trust of another trustee is not distinguished from an unknown
/// one.
async fn trust_scope(db: &Db, proven: &Proven, id: &str) -> Result<(Scope, TokenTime)> {
    let found = trust::table::by_id(db, id).await?;
    let found = found.filter(|t| t.trustee_user_id == proven.user.id);
    let found = found
        .filter(|t| !t.is_spent(clock::now()))
        .ok_or_else(|| unauthenticated("unknown trust, or one of another trustee"))?;
    let project_id = found.project_id;
    let scope = Scope::Trust {
        project_id: project_id.ok_or_else(|| unauthenticated("the trust has no project"))?,
        id: found.id,
    };
    let end = found.expires_at.map_or(TokenTime::MAX, TokenTime::from);
    Ok((scope, end))
}

/// The user's default project if the user can use it; otherwise no scope.
async fn default_scope(db: &Db, projects: &mut ProjectReader<'_>, user: &User) -> Result<Scope> {
    let Some(id) = &user.default_project_id else {
        return Ok(Scope::Unscoped);
    };
    let project = projects.by_id(id).await?;
    let Some(project) = project.filter(|p| p.enabled && !p.is_domain) else {
        return Ok(Scope::Unscoped);
    };
    let roles = effective::on_target(db, &user.id, "project", id).await?;
    if roles.is_empty() || enabled_domain_of(projects, &project).await?.is_none() {
        return Ok(Scope::Unscoped);
    }
    Ok(Scope::Project(project.id))
}
