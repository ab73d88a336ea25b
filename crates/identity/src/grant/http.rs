//! Routes of grants.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::Value;

use super::ops::{self, GrantTarget};
use crate::Identity;
use crate::call::{Call, Reply, done};
use crate::role::{self, Assignment, Role};
use crate::user::{self, User};

/// Roles that a domain manager may grant, never `admin`.
const DELEGABLE: &[&str] = &["manager", "member", "reader"];

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route(
            "/identity/v3/projects/{id}/users/{user}/roles",
            get(list_project),
        )
        .route(
            "/identity/v3/projects/{id}/users/{user}/roles/{role}",
            get(check_project).put(grant_project).delete(revoke_project),
        )
        .route(
            "/identity/v3/domains/{id}/users/{user}/roles",
            get(list_domain),
        )
        .route(
            "/identity/v3/domains/{id}/users/{user}/roles/{role}",
            get(check_domain).put(grant_domain).delete(revoke_domain),
        )
        .route("/identity/v3/system/users/{user}/roles", get(list_system))
        .route(
            "/identity/v3/system/users/{user}/roles/{role}",
            get(check_system).put(grant_system).delete(revoke_system),
        )
}

type Three = Path<(String, String, String)>;
type Two = Path<(String, String)>;

async fn list_project(Path((id, user)): Two, call: Call) -> Reply {
    list(&call, "project", &id, &user).await
}

async fn list_domain(Path((id, user)): Two, call: Call) -> Reply {
    list(&call, "domain", &id, &user).await
}

async fn list_system(Path(user): Path<String>, call: Call) -> Reply {
    list(&call, "system", "all", &user).await
}

async fn list(call: &Call, kind: &str, target: &str, user: &str) -> Reply {
    let (user, grant_target) = load_user_and_target(call, kind, target, user).await?;
    let (rule, path) = match grant_target {
        GrantTarget::System => ("identity:list_system_grants_for_user", "system".to_owned()),
        _ => ("identity:list_grants", format!("{kind}s/{target}")),
    };
    call.allow(rule, &grant_target.target(&user))?;
    roles(
        call,
        &user,
        &grant_target,
        &format!("/{path}/users/{}/roles", user.id),
    )
    .await
}

async fn check_project(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Check, "project", &id, &user, &role).await
}

async fn check_domain(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Check, "domain", &id, &user, &role).await
}

async fn grant_project(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Grant, "project", &id, &user, &role).await
}

async fn grant_domain(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Grant, "domain", &id, &user, &role).await
}

async fn revoke_project(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Revoke, "project", &id, &user, &role).await
}

async fn revoke_domain(Path((id, user, role)): Three, call: Call) -> Reply {
    act(&call, Verb::Revoke, "domain", &id, &user, &role).await
}

async fn check_system(Path((user, role)): Two, call: Call) -> Reply {
    act(&call, Verb::Check, "system", "all", &user, &role).await
}

async fn grant_system(Path((user, role)): Two, call: Call) -> Reply {
    act(&call, Verb::Grant, "system", "all", &user, &role).await
}

async fn revoke_system(Path((user, role)): Two, call: Call) -> Reply {
    act(&call, Verb::Revoke, "system", "all", &user, &role).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Check,
    Grant,
    Revoke,
}

async fn act(call: &Call, verb: Verb, kind: &str, target: &str, user: &str, role: &str) -> Reply {
    let (user, grant_target) = load_user_and_target(call, kind, target, user).await?;
    let found = role::ops::get(&call.identity, role).await;
    permit(call, verb, &grant_target, &user, found.as_ref().ok())?;
    let a = ops::assignment(&user, &grant_target, &found?.id);
    match verb {
        Verb::Grant => ops::grant(&call.identity, &a).await?,
        Verb::Revoke => ops::revoke(&call.identity, &a).await?,
        Verb::Check if !held(call, &a).await? => return Err(ops::absent(&a).into()),
        Verb::Check => {}
    }
    Ok(done())
}

/// An unknown role can be granted only by callers that may grant all roles.
fn permit(
    call: &Call,
    verb: Verb,
    grant_target: &GrantTarget,
    user: &User,
    role: Option<&Role>,
) -> kernel::Result<()> {
    let target = grant_target.target(user);
    let rule = match (verb, grant_target) {
        (Verb::Check, GrantTarget::System) => "identity:list_system_grants_for_user",
        (_, GrantTarget::System) => "identity:create_system_grant_for_user",
        (Verb::Check, _) => "identity:check_grant",
        (Verb::Grant, _) => "identity:create_grant",
        (Verb::Revoke, _) => "identity:revoke_grant",
    };
    let delegable = verb != Verb::Check
        && !matches!(grant_target, GrantTarget::System)
        && role.is_some_and(|r| DELEGABLE.contains(&r.name.as_str()));
    if delegable && call.allow("identity:manage_grant", &target).is_ok() {
        return Ok(());
    }
    call.allow(rule, &target)
}

async fn held(call: &Call, a: &Assignment) -> kernel::Result<bool> {
    let roles = role::table::held(&call.identity.db, &a.user_id, &a.kind, &a.target_id).await?;
    Ok(roles.contains(&a.role_id))
}

async fn roles(call: &Call, user: &User, grant_target: &GrantTarget, path: &str) -> Reply {
    let (kind, target) = grant_target.key();
    let held = role::table::held(&call.identity.db, &user.id, kind, target).await?;
    let all = role::table::list(&call.identity.db).await?;
    let items: Vec<Value> = all
        .iter()
        .filter(|r| held.contains(&r.id))
        .map(|r| role::wire::show(r, &call.base))
        .collect();
    Ok(call.list("roles", path, items, &["name"])?)
}

/// The user and the target. Unauthorised callers must not learn which objects
/// exist, so they are refused before any lookup fails.
async fn load_user_and_target(
    call: &Call,
    kind: &str,
    target: &str,
    user_id: &str,
) -> kernel::Result<(User, GrantTarget)> {
    let found = async {
        let user = user::ops::get(&call.identity, user_id).await?;
        let grant_target = GrantTarget::find(&call.identity, kind, target).await?;
        Ok::<_, kernel::Error>((user, grant_target))
    };
    match found.await {
        Ok(load_user_and_target) => Ok(load_user_and_target),
        Err(e) => {
            let own = kernel::Target::domain(call.domain_id()?);
            call.allow("identity:list_grants", &own)?;
            Err(e)
        }
    }
}
