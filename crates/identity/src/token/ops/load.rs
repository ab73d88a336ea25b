//! Loading the objects that a token refers to.

use db::Db;
use kernel::Result;

use super::delegation;
use super::enabled_user::user_and_domain;
use crate::app_credential;
use crate::errors::unauthenticated;
use crate::project::Project;
use crate::project::hierarchy::enabled_domain_of;
use crate::project::reader::ProjectReader;
use crate::role::effective;
use crate::token::Valid;
use crate::token::payload::{Payload, Scope};
use crate::token::time::TokenTime;

/// Loads the objects of a payload; rejects missing or disabled ones.
///
/// # Errors
/// `Unauthenticated`; `Forbidden` for a trust whose trustor has lost a role.
pub(super) async fn load(
    (db, projects): (&Db, &mut ProjectReader<'_>),
    payload: Payload,
    issued_at: TokenTime,
) -> Result<Valid> {
    let (user, user_domain) = user_and_domain(db, projects, &payload.user_id).await?;
    let mut valid = Valid {
        payload,
        issued_at,
        users_after: user.tokens_after,
        bearer_after: user.tokens_after,
        user,
        user_domain_name: user_domain.name,
        target: None,
        target_domain_name: String::new(),
        targets_after: user_domain.tokens_after,
        roles: vec![],
        credential: None,
        trust: None,
    };
    let (kind, target_id) = match &valid.payload.scope {
        Scope::Unscoped => return Ok(valid),
        Scope::Project(id)
        | Scope::AppCredential { project_id: id, .. }
        | Scope::Trust { project_id: id, .. } => ("project", id.to_string()),
        Scope::Domain(id) => ("domain", id.to_string()),
        Scope::System => ("system", "all".to_owned()),
    };
    if let Scope::Trust { id, .. } = valid.payload.scope.clone() {
        delegation::load((db, &mut *projects), &mut valid, &id).await?;
    } else {
        valid.roles = effective::on_target(db, &valid.user.id, kind, &target_id).await?;
    }
    if let Scope::AppCredential { id, .. } = &valid.payload.scope {
        let credential = app_credential::table::by_id(db, id).await?;
        let credential =
            credential.ok_or_else(|| unauthenticated("application credential was deleted"))?;
        valid.roles.retain(|r| credential.roles.contains(&r.id));
        valid.credential = Some(credential);
    }
    if valid.roles.is_empty() {
        return Err(unauthenticated("no role on the target"));
    }
    if kind != "system" {
        let (target, domain) = target_and_domain(projects, &target_id).await?;
        let after = valid.targets_after.max(target.tokens_after);
        valid.targets_after = after;
        valid.target_domain_name = target.name.clone();
        valid.target = Some(target);
        if let Some(domain) = domain {
            valid.targets_after = after.max(domain.tokens_after);
            valid.target_domain_name = domain.name;
        }
    }
    Ok(valid)
}

/// A project with its domain; a domain alone.
async fn target_and_domain(
    projects: &mut ProjectReader<'_>,
    id: &str,
) -> Result<(Project, Option<Project>)> {
    let target = projects.by_id(id).await?;
    let target = target
        .filter(|p| p.enabled)
        .ok_or_else(|| unauthenticated("target was deleted or is disabled"))?;
    if target.is_domain {
        return Ok((target, None));
    }
    let domain = enabled_domain_of(projects, &target).await?;
    let domain = domain.ok_or_else(|| unauthenticated("parent or domain is disabled"))?;
    Ok((target, Some(domain)))
}
