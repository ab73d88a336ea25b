//! `GET /v3/role_assignments`.

use std::collections::HashMap;

use axum::Router;
use axum::routing::get;
use kernel::{Error, Result, Target};
use serde_json::{Value, json};

use crate::Identity;
use crate::call::{Call, Reply};
use crate::project::{self, Project};
use crate::role::{self, Assignment, Role};
use crate::user::{self, User};

pub(crate) fn routes() -> Router<Identity> {
    Router::new().route("/identity/v3/role_assignments", get(list))
}

/// All objects that the answer refers to, read once.
struct Names {
    users: HashMap<String, User>,
    projects: HashMap<String, Project>,
    roles: Vec<Role>,
    implied: Vec<(String, String)>,
}

async fn list(call: Call) -> Reply {
    let db = &call.identity.db;
    let names = Names {
        users: user::table::list(db)
            .await?
            .into_iter()
            .map(|u| (u.id.clone(), u))
            .collect(),
        projects: project::table::list(db)
            .await?
            .into_iter()
            .map(|p| (p.id.clone(), p))
            .collect(),
        roles: role::table::list(db).await?,
        implied: role::table::implied(db).await?,
    };
    check(&call, &names)?;
    let effective = call.flag("effective");
    let mut items = Vec::new();
    for granted in role::table::assignments(db).await? {
        let held = [granted.role_id.clone()];
        let roles = if effective {
            role::with_implied(&names.roles, &names.implied, &held)
        } else {
            names
                .roles
                .iter()
                .filter(|r| r.id == granted.role_id)
                .cloned()
                .collect()
        };
        for role in roles {
            let one = Assignment {
                role_id: role.id.clone(),
                ..granted.clone()
            };
            if wanted(&call, &names, &one) {
                items.push((show(&call, &names, &one, &role, &granted.role_id), one));
            }
        }
    }
    // A role implied by two grants is listed once.
    let mut seen = std::collections::HashSet::new();
    items.retain(|(_, a)| {
        seen.insert((
            a.user_id.clone(),
            a.kind.clone(),
            a.target_id.clone(),
            a.role_id.clone(),
        ))
    });
    let items = items.into_iter().map(|(value, _)| value).collect();
    Ok(call.list("role_assignments", "/role_assignments", items, &[])?)
}

fn check(call: &Call, names: &Names) -> Result<()> {
    let (project, domain) = (
        call.asked("scope.project.id"),
        call.asked("scope.domain.id"),
    );
    let scoped = domain
        .map(str::to_owned)
        .or_else(|| Some(names.projects.get(project?)?.domain_id.clone()));
    let target = Target {
        domain_id: scoped,
        ..Target::default()
    };
    call.allow("identity:list_role_assignments", &target)?;
    if project.is_some() && domain.is_some() {
        return Err(Error::invalid(
            "scope",
            "Specify a domain or project, not both",
        ));
    }
    if call.flag("effective") && call.asked("group.id").is_some() {
        return Err(Error::invalid(
            "group.id",
            "Combining effective and group filter will always result in an empty list.",
        ));
    }
    if call.flag("include_subtree") && project.is_none() {
        return Err(Error::invalid(
            "include_subtree",
            "scope.project.id must be specified if include_subtree is also specified",
        ));
    }
    Ok(())
}

fn wanted(call: &Call, names: &Names, a: &Assignment) -> bool {
    let is = |name: &str, value: &str| call.asked(name).is_none_or(|w| w == value);
    let on = |name: &str, kind: &str| {
        call.asked(name)
            .is_none_or(|w| a.kind == kind && w == a.target_id)
    };
    let project = if call.flag("include_subtree") {
        call.asked("scope.project.id")
            .is_none_or(|top| a.kind == "project" && below(names, &a.target_id, top))
    } else {
        on("scope.project.id", "project")
    };
    is("user.id", &a.user_id)
        && is("role.id", &a.role_id)
        && project
        && on("scope.domain.id", "domain")
        && call.asked("scope.system").is_none_or(|_| a.kind == "system")
        // Inheritance and groups are not supported yet.
        && call.asked("group.id").is_none()
        && call.asked("scope.OS-INHERIT:inherited_to").is_none()
}

fn below(names: &Names, id: &str, top: &str) -> bool {
    let mut at = Some(id);
    // A bounded walk, because a cycle of parents must not hang the list.
    for _ in 0..64 {
        match at {
            Some(id) if id == top => return true,
            Some(id) => at = names.projects.get(id).and_then(|p| p.parent_id.as_deref()),
            None => return false,
        }
    }
    false
}

fn show(call: &Call, names: &Names, a: &Assignment, role: &Role, granted: &str) -> Value {
    let with_names = call.flag("include_names");
    let domain = |id: &str| {
        let name = names.projects.get(id).map_or("", |d| &d.name);
        json!({"id": id, "name": name})
    };
    let mut user = json!({"id": a.user_id});
    let mut shown_role = json!({"id": role.id});
    let mut grant_target = json!({"id": a.target_id});
    if with_names {
        shown_role["name"] = role.name.as_str().into();
        if let Some(u) = names.users.get(&a.user_id) {
            user["name"] = u.name.as_str().into();
            user["domain"] = domain(&u.domain_id);
        }
        if let Some(p) = names.projects.get(&a.target_id) {
            grant_target["name"] = p.name.as_str().into();
            if !p.is_domain {
                grant_target["domain"] = domain(&p.domain_id);
            }
        }
    }
    let (scope, path) = match a.kind.as_str() {
        "project" => (
            json!({"project": grant_target}),
            format!("projects/{}", a.target_id),
        ),
        "domain" => (
            json!({"domain": grant_target}),
            format!("domains/{}", a.target_id),
        ),
        _ => (json!({"system": {"all": true}}), "system".to_owned()),
    };
    let base = format!("{}/identity/v3", call.base);
    let mut links =
        json!({"assignment": format!("{base}/{path}/users/{}/roles/{granted}", a.user_id)});
    if granted != role.id {
        links["prior_role"] = format!("{base}/roles/{granted}/implies/{}", role.id).into();
    }
    json!({"scope": scope, "user": user, "role": shown_role, "links": links})
}
