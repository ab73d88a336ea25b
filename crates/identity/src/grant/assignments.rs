//! `GET /v3/role_assignments`.

use std::collections::{HashMap, HashSet};

use kernel::{Error, Result, Target};
use rest::{Json, Param, Route, get};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::{Call, IdentityCall, flag};
use crate::envelope::{Many, nouns};
use crate::listing::{Filter, Listed, PAGING, list as listing};
use crate::policy;
use crate::project::{self, Project};
use crate::role::{self, Assignment, Role};
use crate::state::State;
use crate::user::{self, User};

const FILTERS: &[Param] = &[
    Param::text("user.id", "Assignments of this user."),
    Param::text("group.id", "Assignments of this group: none."),
    Param::text("role.id", "Assignments of this role."),
    Param::text("scope.project.id", "Assignments on this project."),
    Param::text("scope.domain.id", "Assignments on this domain."),
    Param::text("scope.system", "Assignments on the system."),
    Param::text(
        "scope.OS-INHERIT:inherited_to",
        "Inherited assignments: none.",
    ),
    Param::text(
        "effective",
        "Show implied roles, too, unless the value is 0.",
    ),
    Param::text("include_names", "Show names, unless the value is 0."),
    Param::text(
        "include_subtree",
        "Also of projects below, unless the value is 0.",
    ),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let about = "List role assignments.";
    vec![
        get(
            "/v3/role_assignments",
            &policy::LIST_ROLE_ASSIGNMENTS,
            about,
            list,
        )
        .query(&[PAGING, FILTERS]),
    ]
}

/// An object by its id, with its name if the caller asked for names.
#[derive(Debug, Serialize, JsonSchema)]
struct Named {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Box<Named>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WholeSystem {
    all: bool,
}

/// Where a role is held.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ScopeBody {
    Project(Named),
    Domain(Named),
    System(WholeSystem),
}

#[derive(Debug, Serialize, JsonSchema)]
struct AssignmentLinks {
    assignment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior_role: Option<String>,
}

/// A role of a user on a target.
#[derive(Debug, Serialize, JsonSchema)]
struct AssignmentBody {
    scope: ScopeBody,
    user: Named,
    role: Named,
    links: AssignmentLinks,
}

nouns! { AssignmentBody = "role_assignment", "role_assignments"; }

impl Listed for AssignmentBody {
    /// Assignments have no ids, so no list of them continues after a marker.
    fn id(&self) -> &str {
        ""
    }

    fn filter(&self, _: &str) -> Option<Filter<'_>> {
        None
    }
}

/// All objects that the answer refers to, read once.
struct Names {
    users: HashMap<String, User>,
    projects: HashMap<String, Project>,
    roles: Vec<Role>,
    implied: Vec<(String, String)>,
}

async fn list(call: Call) -> Result<Json<Many<AssignmentBody>>> {
    let db = &call.state.db;
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
    let effective = flag(&call, "effective");
    let mut items = Vec::new();
    for granted in role::table::assignments(db).await? {
        let held = [granted.role_id.clone()];
        let roles = if effective {
            role::effective::with_implied(&names.roles, &names.implied, &held)
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
    let mut seen = HashSet::new();
    items.retain(|(_, a)| {
        seen.insert((
            a.user_id.clone(),
            a.kind.clone(),
            a.target_id.clone(),
            a.role_id.clone(),
        ))
    });
    let items = items.into_iter().map(|(body, _)| body).collect();
    listing(&call, "/role_assignments", items)
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
    call.allow(&policy::LIST_ROLE_ASSIGNMENTS, &target)?;
    if project.is_some() && domain.is_some() {
        return Err(Error::invalid(
            "scope",
            "Specify a domain or project, not both",
        ));
    }
    if flag(call, "effective") && call.asked("group.id").is_some() {
        return Err(Error::invalid(
            "group.id",
            "Combining effective and group filter will always result in an empty list.",
        ));
    }
    if flag(call, "include_subtree") && project.is_none() {
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
    let project = if flag(call, "include_subtree") {
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

fn show(call: &Call, names: &Names, a: &Assignment, role: &Role, granted: &str) -> AssignmentBody {
    let with_names = flag(call, "include_names");
    let named = |id: &str, name: Option<&String>, domain_id: Option<&String>| {
        let domain = domain_id.filter(|id| with_names && !id.is_empty());
        Named {
            id: id.to_owned(),
            name: name.filter(|_| with_names).cloned(),
            domain: domain.map(|id| {
                Box::new(Named {
                    id: id.clone(),
                    name: names.projects.get(id).map(|d| d.name.clone()),
                    domain: None,
                })
            }),
        }
    };
    let user = names.users.get(&a.user_id);
    let project = names.projects.get(&a.target_id);
    let target = named(
        &a.target_id,
        project.map(|p| &p.name),
        project.map(|p| &p.domain_id),
    );
    let (scope, path) = match a.kind.as_str() {
        "project" => (
            ScopeBody::Project(target),
            format!("projects/{}", a.target_id),
        ),
        "domain" => (
            ScopeBody::Domain(target),
            format!("domains/{}", a.target_id),
        ),
        _ => (
            ScopeBody::System(WholeSystem { all: true }),
            "system".to_owned(),
        ),
    };
    let base = format!("{}/identity/v3", call.base());
    AssignmentBody {
        scope,
        user: named(
            &a.user_id,
            user.map(|u| &u.name),
            user.map(|u| &u.domain_id),
        ),
        role: named(&role.id, Some(&role.name), None),
        links: AssignmentLinks {
            assignment: format!("{base}/{path}/users/{}/roles/{granted}", a.user_id),
            prior_role: (granted != role.id)
                .then(|| format!("{base}/roles/{granted}/implies/{}", role.id)),
        },
    }
}
