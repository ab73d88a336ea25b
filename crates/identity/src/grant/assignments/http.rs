//! `GET /v3/role_assignments`.

use std::collections::HashSet;

use kernel::Result;
use rest::{Json, Param, Route, get};

use super::expand::{MAX_EFFECTIVE, held_by};
use super::filters::Filters;
use super::objects::Objects;
use super::wire::AssignmentBody;
use crate::assignment;
use crate::call::{Call, IdentityCall, flag};
use crate::envelope::Many;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("user.id", "Assignments of this user."),
    Param::text("group.id", "Assignments of this group."),
    Param::text("role.id", "Assignments of this role."),
    Param::text("scope.project.id", "Assignments on this project."),
    Param::text("scope.domain.id", "Assignments on this domain."),
    Param::text("scope.system", "Assignments on the system, with `all`."),
    Param::text(
        "scope.OS-INHERIT:inherited_to",
        "Only inherited assignments with `projects`, only others with another value.",
    ),
    Param::text(
        "effective",
        "Show implied roles, users instead of groups, and projects that inherit roles, unless \
         the value is 0.",
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
    let filters = Filters::read(&call, &objects)?;
    let with_names = flag(&call, "include_names");
    let mut all = Vec::new();
    for granted in assignment::table::list(db).await? {
        let most = MAX_EFFECTIVE.saturating_sub(all.len());
        all.extend(held_by(&objects, &filters, &granted, most)?);
    }
    // A role implied by two grants of the same user or group is listed once.
    let mut seen = HashSet::new();
    all.retain(|held| seen.insert((held.assignment.clone(), held.source())));
    let body = |held| AssignmentBody::new(&objects, held, with_names, call.base());
    let items = all.iter().map(body).collect();
    listing(&call, "/role_assignments", items)
}
