//! `GET /v3/role_assignments`.

use std::collections::HashSet;

use kernel::{DomainId, Error, Result, Target};
use rest::{Json, Param, Route, get};

use super::objects::Objects;
use super::wire::{AssignmentBody, Held};
use crate::assignment::{self, Actor, Assignment};
use crate::call::{Call, IdentityCall, flag};
use crate::envelope::Many;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::role::{self, Role};
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("user.id", "Assignments of this user."),
    Param::text("group.id", "Assignments of this group."),
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
        "Show implied roles, and users instead of groups, unless the value is 0.",
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
    let mut all = Vec::new();
    for granted in assignment::table::list(db).await? {
        all.extend(held_by(&objects, granted, effective));
    }
    all.retain(|held| wanted(&call, &objects, &held.assignment));
    // A role implied by two grants of the same user or group is listed once.
    let mut seen = HashSet::new();
    all.retain(|held| seen.insert((held.assignment.clone(), held.granted.actor.clone())));
    let body = |held| AssignmentBody::new(&objects, held, with_names, call.base());
    let items = all.iter().map(body).collect();
    listing(&call, "/role_assignments", items)
}

/// What a grant gives: its own role; if `effective`, also the implied roles, and to the
/// users of a group instead of the group.
fn held_by(objects: &Objects, granted: Assignment, effective: bool) -> Vec<Held> {
    let own = [granted.role_id.clone()];
    let roles: Vec<Role> = if effective {
        role::effective::with_implied(&objects.roles, &objects.implied, &own)
    } else {
        let is_granted = |r: &&Role| r.id == granted.role_id;
        objects.roles.iter().filter(is_granted).cloned().collect()
    };
    let actors: Vec<Actor> = match &granted.actor {
        Actor::Group(id) if effective => {
            let users = objects.members(id).iter();
            users.map(|user| Actor::User(user.clone())).collect()
        }
        actor => vec![actor.clone()],
    };
    let mut all = Vec::new();
    for actor in actors {
        for role in &roles {
            all.push(Held {
                assignment: Assignment {
                    actor: actor.clone(),
                    role_id: role.id.clone(),
                    ..granted.clone()
                },
                role: role.clone(),
                granted: granted.clone(),
            });
        }
    }
    all
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
    let (system, of_user, of_group) = (
        call.asked("scope.system").is_some(),
        call.asked("user.id").is_some(),
        call.asked("group.id").is_some(),
    );
    for (both, field, text) in [
        (
            project.is_some() && domain.is_some(),
            "scope",
            "Specify a domain or project, not both",
        ),
        (
            system && domain.is_some(),
            "scope",
            "Specify system or domain, not both",
        ),
        (
            system && project.is_some(),
            "scope",
            "Specify system or project, not both",
        ),
        (
            of_user && of_group,
            "user.id",
            "Specify a user or group, not both",
        ),
    ] {
        if both {
            return Err(Error::invalid(field, text));
        }
    }
    if flag(call, "effective") && of_group {
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
    let user = |w: &str| matches!(&a.actor, Actor::User(id) if *id == w);
    let group = |w: &str| matches!(&a.actor, Actor::Group(id) if *id == w);
    call.asked("user.id").is_none_or(user)
        && call.asked("group.id").is_none_or(group)
        && is("role.id", &a.role_id)
        && project
        && on("scope.domain.id", "domain")
        && call.asked("scope.system").is_none_or(|_| a.kind == "system")
        // Inheritance is not supported yet.
        && call.asked("scope.OS-INHERIT:inherited_to").is_none()
}
