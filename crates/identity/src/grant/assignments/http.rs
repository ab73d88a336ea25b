//! `GET /v3/role_assignments`.

use std::collections::HashSet;

use kernel::{DomainId, Error, Result, Target};
use rest::{Json, Param, Route, get};

use super::objects::Objects;
use super::wire::AssignmentBody;
use crate::call::{Call, IdentityCall, flag};
use crate::envelope::Many;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::role::{self, Assignment, Role};
use crate::state::State;

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

async fn list(call: Call) -> Result<Json<Many<AssignmentBody>>> {
    let db = &call.state.db;
    let objects = Objects::load(db).await?;
    check(&call, &objects)?;
    let effective = flag(&call, "effective");
    let with_names = flag(&call, "include_names");
    let mut items = Vec::new();
    for granted in role::table::assignments(db).await? {
        let held = [granted.role_id.clone()];
        let roles = if effective {
            role::effective::with_implied(&objects.roles, &objects.implied, &held)
        } else {
            let is_granted = |r: &&Role| r.id == granted.role_id;
            objects.roles.iter().filter(is_granted).cloned().collect()
        };
        for role in roles {
            let one = Assignment {
                role_id: role.id.clone(),
                ..granted.clone()
            };
            if wanted(&call, &objects, &one) {
                let body = AssignmentBody::new(
                    &objects,
                    &one,
                    &role,
                    &granted.role_id,
                    with_names,
                    call.base(),
                );
                items.push((body, one));
            }
        }
    }
    // A role implied by two grants is listed once.
    let mut seen = HashSet::new();
    items.retain(|(_, a)| seen.insert(a.clone()));
    let items = items.into_iter().map(|(body, _)| body).collect();
    listing(&call, "/role_assignments", items)
}

/// Whether the caller may list, and the filters can be combined.
fn check(call: &Call, objects: &Objects) -> Result<()> {
    let (project, domain) = (
        call.asked("scope.project.id"),
        call.asked("scope.domain.id"),
    );
    let scoped = domain
        .map(DomainId::from)
        .or_else(|| Some(objects.projects.get(project?)?.domain_id.clone()));
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

/// Whether the filters select an assignment.
fn wanted(call: &Call, objects: &Objects, a: &Assignment) -> bool {
    let is = |name: &str, value: &str| call.asked(name).is_none_or(|w| w == value);
    let on = |name: &str, kind: &str| {
        call.asked(name)
            .is_none_or(|w| a.kind == kind && w == a.target_id)
    };
    let project = if flag(call, "include_subtree") {
        call.asked("scope.project.id")
            .is_none_or(|top| a.kind == "project" && objects.is_below(&a.target_id, top))
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
