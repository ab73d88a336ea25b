//! Routes of grants.

use kernel::{Error, Kind, Result, Rule, Target};
use rest::{Json, NoContent, Route, delete, get, put};

use super::ops::{self, GrantTarget};
use crate::call::{Call, IdentityCall};
use crate::envelope::Many;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::role::http::NAME;
use crate::role::wire::RoleBody;
use crate::role::{self, Assignment, Role};
use crate::state::State;
use crate::user::{self, User};

/// Roles that a domain manager may grant, never `admin`.
const DELEGABLE: &[&str] = &["manager", "member", "reader"];

const PROJECT: &str = "/v3/projects/{project_id}/users/{user_id}/roles";
const PROJECT_ROLE: &str = "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}";
const DOMAIN: &str = "/v3/domains/{domain_id}/users/{user_id}/roles";
const DOMAIN_ROLE: &str = "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}";
const SYSTEM: &str = "/v3/system/users/{user_id}/roles";
const SYSTEM_ROLE: &str = "/v3/system/users/{user_id}/roles/{role_id}";

pub(crate) fn routes() -> Vec<Route<State>> {
    let lists = |path, rule: &'static Rule| {
        get(path, rule, "List the roles of a user on a target.", list).query(&[PAGING, NAME])
    };
    let (check, grant, revoke) = (
        "Check whether a user has a role on a target.",
        "Grant a role to a user on a target.",
        "Revoke a role of a user on a target.",
    );
    let mut routes = vec![
        lists(PROJECT, &policy::LIST_GRANTS),
        lists(DOMAIN, &policy::LIST_GRANTS),
        lists(SYSTEM, &policy::LIST_SYSTEM_GRANTS),
        get(SYSTEM_ROLE, &policy::LIST_SYSTEM_GRANTS, check, check_grant),
        put(
            SYSTEM_ROLE,
            &policy::CREATE_SYSTEM_GRANT,
            grant,
            create_grant,
        ),
        delete(
            SYSTEM_ROLE,
            &policy::CREATE_SYSTEM_GRANT,
            revoke,
            revoke_grant,
        ),
    ];
    for path in [PROJECT_ROLE, DOMAIN_ROLE] {
        routes.push(get(path, &policy::CHECK_GRANT, check, check_grant));
        routes.push(put(path, &policy::CREATE_GRANT, grant, create_grant));
        routes.push(delete(path, &policy::REVOKE_GRANT, revoke, revoke_grant));
    }
    routes
}

/// The kind and the id of the target in the path.
fn place(call: &Call) -> (&'static str, String) {
    let of = |name| call.param(name).map(str::to_owned);
    match (of("project_id"), of("domain_id")) {
        (Ok(id), _) => ("project", id),
        (_, Ok(id)) => ("domain", id),
        _ => ("system", "all".to_owned()),
    }
}

async fn list(call: Call) -> Result<Json<Many<RoleBody>>> {
    let rule = match place(&call) {
        ("system", _) => &policy::LIST_SYSTEM_GRANTS,
        _ => &policy::LIST_GRANTS,
    };
    let (user, grant_target) = load_user_and_target(&call, rule).await?;
    let (kind, id) = grant_target.key();
    let path = match grant_target {
        GrantTarget::System => "system".to_owned(),
        _ => format!("{kind}s/{id}"),
    };
    call.allow(rule, &grant_target.target(&user))?;
    let held = role::table::held(&call.state.db, &user.id, kind, id).await?;
    let all = role::table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .filter(|r| held.contains(&r.id))
        .map(|r| RoleBody::new(r, call.base()))
        .collect();
    listing(&call, &format!("/{path}/users/{}/roles", user.id), items)
}

async fn check_grant(call: Call) -> Result<NoContent> {
    act(&call, Verb::Check).await
}

async fn create_grant(call: Call) -> Result<NoContent> {
    act(&call, Verb::Grant).await
}

async fn revoke_grant(call: Call) -> Result<NoContent> {
    act(&call, Verb::Revoke).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Check,
    Grant,
    Revoke,
}

async fn act(call: &Call, verb: Verb) -> Result<NoContent> {
    let rule = rule_of(verb, place(call).0);
    let (user, grant_target) = match load_user_and_target(call, rule).await {
        Err(e) if verb == Verb::Revoke => return revoke_left_over(call, e).await,
        loaded => loaded?,
    };
    let found = role::ops::get(&call.state, call.param("role_id")?).await;
    permit(call, verb, &grant_target, &user, found.as_ref().ok())?;
    let role = match found {
        Err(e) if verb == Verb::Revoke => return revoke_left_over(call, e).await,
        found => found?,
    };
    let a = ops::assignment(&user, &grant_target, &role.id);
    match verb {
        Verb::Grant => ops::grant(&call.state, &a).await?,
        Verb::Revoke => ops::revoke(&call.state, &a).await?,
        Verb::Check if !held(call, &a).await? => return Err(ops::absent(&a)),
        Verb::Check => {}
    }
    Ok(NoContent)
}

/// Revokes a grant of which the user, the target or the role was deleted, as `error`
/// says. Such grants are in databases of earlier releases. The caller may revoke any
/// role.
async fn revoke_left_over(call: &Call, error: Error) -> Result<NoContent> {
    if error.kind != Kind::NotFound {
        return Err(error);
    }
    let (kind, target_id) = place(call);
    let a = Assignment {
        user_id: call.param("user_id")?.into(),
        kind: kind.into(),
        target_id,
        role_id: call.param("role_id")?.into(),
    };
    match ops::revoke(&call.state, &a).await {
        Err(e) if e.kind == Kind::NotFound => Err(error),
        revoked => revoked.map(|()| NoContent),
    }
}

fn rule_of(verb: Verb, kind: &str) -> &'static Rule {
    match (verb, kind) {
        (Verb::Check, "system") => &policy::LIST_SYSTEM_GRANTS,
        (_, "system") => &policy::CREATE_SYSTEM_GRANT,
        (Verb::Check, _) => &policy::CHECK_GRANT,
        (Verb::Grant, _) => &policy::CREATE_GRANT,
        (Verb::Revoke, _) => &policy::REVOKE_GRANT,
    }
}

/// An unknown role can be granted only by callers that may grant all roles.
fn permit(
    call: &Call,
    verb: Verb,
    grant_target: &GrantTarget,
    user: &User,
    role: Option<&Role>,
) -> Result<()> {
    let target = grant_target.target(user);
    let rule = rule_of(verb, grant_target.key().0);
    let delegable = verb != Verb::Check
        && !matches!(grant_target, GrantTarget::System)
        && role.is_some_and(|r| DELEGABLE.contains(&r.name.as_str()));
    if delegable && call.allows(&policy::MANAGE_GRANT, &target) {
        call.ctx()?.granted.record(rule);
        return Ok(());
    }
    call.allow(rule, &target)
}

async fn held(call: &Call, a: &Assignment) -> Result<bool> {
    let roles = role::table::held(&call.state.db, &a.user_id, &a.kind, &a.target_id).await?;
    Ok(roles.contains(&a.role_id))
}

/// The user and the target of the path. Callers whom the rule does not allow must
/// not learn which of them exist.
async fn load_user_and_target(call: &Call, rule: &'static Rule) -> Result<(User, GrantTarget)> {
    let (kind, id) = place(call);
    let user_id = call.param("user_id")?;
    let found = async {
        let user = user::ops::get(&call.state, user_id).await?;
        let grant_target = GrantTarget::find(&call.state, kind, &id).await?;
        Ok::<_, Error>((user, grant_target))
    };
    match found.await {
        Ok(found) => Ok(found),
        // As for objects of another domain, which managers of a domain cannot reach.
        Err(e) => call.allow(rule, &Target::default()).and(Err(e)),
    }
}
