//! Routes of grants.

use kernel::{Error, Kind, Result, Rule, Target};
use rest::{Json, NoContent, Route, delete, get, put};

use super::ops::{self, GrantTarget, Holder};
use crate::assignment::{self, Actor, Assignment};
use crate::call::{Call, IdentityCall};
use crate::envelope::Many;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::role::http::NAME;
use crate::role::wire::RoleBody;
use crate::role::{self, Role};
use crate::state::State;

/// Roles that a domain manager may grant, never `admin`.
const DELEGABLE: &[&str] = &["manager", "member", "reader"];

/// The routes of the grants of one kind of holder on one kind of target.
struct Family {
    all: &'static str,
    one: &'static str,
    texts: &'static Texts,
    system: bool,
    /// For the projects below the target instead of the target.
    inherited: bool,
}

/// What the routes do.
struct Texts {
    list: &'static str,
    check: &'static str,
    grant: &'static str,
    revoke: &'static str,
}

const INHERITED_OF_USER: Texts = Texts {
    list: "List the roles that projects below a target inherit, of a user.",
    check: "Check whether projects below a target inherit a role of a user.",
    grant: "Grant a role to a user on all projects below a target.",
    revoke: "Revoke a role of a user on all projects below a target.",
};
const INHERITED_OF_GROUP: Texts = Texts {
    list: "List the roles that projects below a target inherit, of a group.",
    check: "Check whether projects below a target inherit a role of a group.",
    grant: "Grant a role to a group on all projects below a target.",
    revoke: "Revoke a role of a group on all projects below a target.",
};
const OF_USER: Texts = Texts {
    list: "List the roles of a user on a target.",
    check: "Check whether a user has a role on a target.",
    grant: "Grant a role to a user on a target.",
    revoke: "Revoke a role of a user on a target.",
};
const OF_GROUP: Texts = Texts {
    list: "List the roles of a group on a target.",
    check: "Check whether a group has a role on a target.",
    grant: "Grant a role to a group on a target.",
    revoke: "Revoke a role of a group on a target.",
};

const FAMILIES: &[Family] = &[
    Family {
        all: "/v3/projects/{project_id}/users/{user_id}/roles",
        one: "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}",
        texts: &OF_USER,
        system: false,
        inherited: false,
    },
    Family {
        all: "/v3/projects/{project_id}/groups/{group_id}/roles",
        one: "/v3/projects/{project_id}/groups/{group_id}/roles/{role_id}",
        texts: &OF_GROUP,
        system: false,
        inherited: false,
    },
    Family {
        all: "/v3/domains/{domain_id}/users/{user_id}/roles",
        one: "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}",
        texts: &OF_USER,
        system: false,
        inherited: false,
    },
    Family {
        all: "/v3/domains/{domain_id}/groups/{group_id}/roles",
        one: "/v3/domains/{domain_id}/groups/{group_id}/roles/{role_id}",
        texts: &OF_GROUP,
        system: false,
        inherited: false,
    },
    Family {
        all: "/v3/system/users/{user_id}/roles",
        one: "/v3/system/users/{user_id}/roles/{role_id}",
        texts: &OF_USER,
        system: true,
        inherited: false,
    },
    Family {
        all: "/v3/system/groups/{group_id}/roles",
        one: "/v3/system/groups/{group_id}/roles/{role_id}",
        texts: &OF_GROUP,
        system: true,
        inherited: false,
    },
    Family {
        all: "/v3/OS-INHERIT/projects/{project_id}/users/{user_id}/roles/inherited_to_projects",
        one: "/v3/OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
        texts: &INHERITED_OF_USER,
        system: false,
        inherited: true,
    },
    Family {
        all: "/v3/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/inherited_to_projects",
        one: "/v3/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
        texts: &INHERITED_OF_GROUP,
        system: false,
        inherited: true,
    },
    Family {
        all: "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/inherited_to_projects",
        one: "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
        texts: &INHERITED_OF_USER,
        system: false,
        inherited: true,
    },
    Family {
        all: "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/inherited_to_projects",
        one: "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
        texts: &INHERITED_OF_GROUP,
        system: false,
        inherited: true,
    },
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let mut routes = Vec::new();
    for f in FAMILIES {
        let of_group = f.all.contains("{group_id}");
        let rule = |verb| rule_of(verb, f.system, of_group);
        let (t, inherited) = (f.texts, f.inherited);
        let list = move |call: Call| list(call, inherited);
        let act = move |verb| move |call: Call| act(call, verb, inherited);
        routes.push(get(f.all, rule(Verb::List), t.list, list).query(&[PAGING, NAME]));
        routes.push(get(f.one, rule(Verb::Check), t.check, act(Verb::Check)));
        routes.push(put(f.one, rule(Verb::Grant), t.grant, act(Verb::Grant)));
        routes.push(delete(
            f.one,
            rule(Verb::Revoke),
            t.revoke,
            act(Verb::Revoke),
        ));
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

/// The user or group in the path.
fn actor(call: &Call) -> Result<Actor> {
    match call.param("group_id") {
        Ok(id) => Ok(Actor::Group(id.into())),
        Err(_) => Ok(Actor::User(call.param("user_id")?.into())),
    }
}

async fn list(call: Call, inherited: bool) -> Result<Json<Many<RoleBody>>> {
    let rule = rule_for(&call, Verb::List)?;
    let (holder, grant_target) = load_holder_and_target(&call, rule).await?;
    let (kind, id) = grant_target.key();
    let path = match grant_target {
        GrantTarget::System => "system".to_owned(),
        _ => format!("{kind}s/{id}"),
    };
    call.allow(rule, &grant_target.target(&holder))?;
    let actor = &holder.actor;
    let granted = assignment::table::granted(&call.state.db, actor, (kind, id), inherited).await?;
    let all = role::table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .filter(|r| granted.contains(&r.id))
        .map(|r| RoleBody::new(r, call.base()))
        .collect();
    let path = format!("{path}/{}/{}/roles", actor.plural(), actor.id());
    let path = if inherited {
        format!("/OS-INHERIT/{path}/inherited_to_projects")
    } else {
        format!("/{path}")
    };
    listing(&call, &path, items)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    List,
    Check,
    Grant,
    Revoke,
}

async fn act(call: Call, verb: Verb, inherited: bool) -> Result<NoContent> {
    let call = &call;
    let rule = rule_for(call, verb)?;
    let (holder, grant_target) = match load_holder_and_target(call, rule).await {
        Err(e) if verb == Verb::Revoke => return revoke_left_over(call, inherited, e).await,
        loaded => loaded?,
    };
    let found = role::ops::get(&call.state, call.param("role_id")?).await;
    permit(call, verb, &grant_target, &holder, found.as_ref().ok())?;
    let role = match found {
        Err(e) if verb == Verb::Revoke => return revoke_left_over(call, inherited, e).await,
        found => found?,
    };
    let a = ops::assignment(&holder, &grant_target, inherited, &role.id);
    match verb {
        Verb::Grant => ops::grant(&call.state, &a).await?,
        Verb::Revoke => ops::revoke(&call.state, &a).await?,
        _ if !is_granted(call, &a).await? => return Err(ops::absent(&a)),
        _ => {}
    }
    Ok(NoContent)
}

/// Revokes a grant of which the user, group, target or role was deleted, as `error`
/// says. Such grants are in databases of earlier releases. The caller may revoke any
/// role.
async fn revoke_left_over(call: &Call, inherited: bool, error: Error) -> Result<NoContent> {
    if error.kind != Kind::NotFound {
        return Err(error);
    }
    let (kind, target_id) = place(call);
    let a = Assignment {
        actor: actor(call)?,
        kind: kind.into(),
        target_id,
        inherited,
        role_id: call.param("role_id")?.into(),
    };
    match ops::revoke(&call.state, &a).await {
        Err(e) if e.kind == Kind::NotFound => Err(error),
        revoked => revoked.map(|()| NoContent),
    }
}

fn rule_for(call: &Call, verb: Verb) -> Result<&'static Rule> {
    let of_group = matches!(actor(call)?, Actor::Group(_));
    Ok(rule_of(verb, place(call).0 == "system", of_group))
}

fn rule_of(verb: Verb, system: bool, of_group: bool) -> &'static Rule {
    match (verb, system, of_group) {
        (Verb::List | Verb::Check, true, true) => &policy::LIST_SYSTEM_GROUP_GRANTS,
        (Verb::List | Verb::Check, true, false) => &policy::LIST_SYSTEM_GRANTS,
        (_, true, true) => &policy::CREATE_SYSTEM_GROUP_GRANT,
        (_, true, false) => &policy::CREATE_SYSTEM_GRANT,
        (Verb::List, false, _) => &policy::LIST_GRANTS,
        (Verb::Check, false, _) => &policy::CHECK_GRANT,
        (Verb::Grant, false, _) => &policy::CREATE_GRANT,
        (Verb::Revoke, false, _) => &policy::REVOKE_GRANT,
    }
}

/// An unknown role can be granted only by callers that may grant all roles.
fn permit(
    call: &Call,
    verb: Verb,
    grant_target: &GrantTarget,
    holder: &Holder,
    role: Option<&Role>,
) -> Result<()> {
    let mut target = grant_target.target(holder);
    // Callers with the rights of one domain reach roles of no domain, and those of the domain.
    let of_domain = role.and_then(|r| r.domain_id.as_ref());
    if of_domain.is_some() && of_domain != target.domain_id.as_ref() {
        target.domain_id = None;
    }
    let rule = rule_for(call, verb)?;
    let delegable = matches!(verb, Verb::Grant | Verb::Revoke)
        && !matches!(grant_target, GrantTarget::System)
        && role.is_some_and(|r| DELEGABLE.contains(&r.name.as_str()));
    if delegable && call.allows(&policy::MANAGE_GRANT, &target) {
        call.ctx()?.granted.record(rule);
        return Ok(());
    }
    call.allow(rule, &target)
}

async fn is_granted(call: &Call, a: &Assignment) -> Result<bool> {
    let db = &call.state.db;
    let target = (a.kind.as_str(), a.target_id.as_str());
    let roles = assignment::table::granted(db, &a.actor, target, a.inherited).await?;
    Ok(roles.contains(&a.role_id))
}

/// The user or group, and the target, of the path. Callers whom the rule does not allow must
/// not learn which of them exist.
async fn load_holder_and_target(call: &Call, rule: &'static Rule) -> Result<(Holder, GrantTarget)> {
    let (kind, id) = place(call);
    let actor = actor(call)?;
    let found = async {
        let holder = Holder::find(&call.state, actor).await?;
        let grant_target = GrantTarget::find(&call.state, kind, &id).await?;
        Ok::<_, Error>((holder, grant_target))
    };
    match found.await {
        Ok(found) => Ok(found),
        // As for objects of another domain, which managers of a domain cannot reach.
        Err(e) => call.allow(rule, &Target::default()).and(Err(e)),
    }
}
