//! What an application credential is based on: the rights of the token that creates
//! it.

use db::Tx;
use kernel::{AccessRule, Error, Result};

use super::{AppCredential, table};
use crate::access_rule::stored::CredentialRules;
use crate::errors::{forbidden_action, unauthenticated};
use crate::ids::RoleId;
use crate::role::effective;
use crate::token::Valid;
use crate::token::payload::Scope;
use crate::{project, user};

/// Checks the rights of the creator again and locks what they depend on: computing the
/// hash of the secret takes a while, and a credential outlasts its token. A request
/// that revokes a role meanwhile waits for the lock, and deletes this credential, too.
pub(super) async fn check_again(tx: &mut Tx, by: &Valid, credential: &AppCredential) -> Result<()> {
    let (user_id, project_id) = (&credential.user_id, &credential.project_id);
    let project = project::table::lock(tx, project_id).await?;
    if project.is_none_or(|p| !p.enabled || by.issued_at < p.tokens_after) {
        return Err(unauthenticated("the project was deleted or disabled"));
    }
    let user = user::table::lock(tx, user_id).await?;
    if user.is_none_or(|u| !u.enabled || by.issued_at < u.tokens_after) {
        return Err(unauthenticated("the user's tokens were revoked"));
    }
    if let Scope::AppCredential { id, .. } = &by.payload.scope
        && table::lock(tx, id).await?.is_none()
    {
        return Err(unauthenticated("the application credential was deleted"));
    }
    let held = effective::read_on_target(tx, user_id, "project", project_id).await?;
    let is_held = |id: &RoleId| held.iter().any(|r| r.id == *id);
    if !credential.roles.iter().all(is_held) {
        return Err(unassigned_role());
    }
    Ok(())
}

/// A token with access rules must not give more than they permit: a credential that is
/// created with it has some of them, and no others.
pub(super) fn check_rules(by: &Valid, rules: &CredentialRules) -> Result<()> {
    let Some(held) = by.access_rules() else {
        return Ok(());
    };
    let is_held = |rule: &AccessRule| {
        held.iter()
            .any(|h| h.service == rule.service && h.path == rule.path && h.method == rule.method)
    };
    match &rules.0 {
        Some(rules) if !rules.is_empty() && rules.iter().all(is_held) => Ok(()),
        _ => Err(forbidden_action(
            "An application credential that is created with a token with access rules must have access rules, all of them rules of the token",
        )),
    }
}

pub(super) fn unassigned_role() -> Error {
    Error::invalid(
        "roles",
        "Invalid application credential: Cannot create an application credential with unassigned role",
    )
}
