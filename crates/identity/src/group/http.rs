//! Routes of groups.

use kernel::{DomainId, Result, Rule, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{GroupBody, GroupFields};
use super::{Group, ops, table};
use crate::assignment::Actor;
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::errors::missing;
use crate::fields::{Change, New};
use crate::foreign_roles::refuse_foreign_roles;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

pub(crate) const FILTERS: &[Param] = &[
    Param::text("name", "Groups of this name.").comparable(),
    Param::text("domain_id", "Groups of this domain."),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let one = "/v3/groups/{group_id}";
    vec![
        get("/v3/groups", &policy::LIST_GROUPS, "List groups.", list).query(&[PAGING, FILTERS]),
        post(
            "/v3/groups",
            &policy::CREATE_GROUP,
            "Create a group.",
            create,
        ),
        get(one, &policy::GET_GROUP, "Show a group.", show),
        patch_route(one, &policy::UPDATE_GROUP, "Change a group.", update),
        delete(one, &policy::DELETE_GROUP, "Delete a group.", remove),
    ]
}

fn target(group: &Group) -> Target {
    Target::domain(group.domain_id.clone())
}

async fn list(call: Call) -> Result<Json<Many<GroupBody>>> {
    // A domain reader sees only their own domain, whatever the filter is.
    let own: DomainId = call.domain_id()?.into();
    call.allow(&policy::LIST_GROUPS, &Target::domain(own.clone()))?;
    let all = call.allows(&policy::LIST_GROUPS, &Target::default());
    let groups = table::list(&call.state.db).await?;
    let items = groups
        .into_iter()
        .filter(|g| all || g.domain_id == own)
        .map(|g| GroupBody::new(g, call.base()))
        .collect();
    listing(&call, "/groups", items)
}

async fn create(call: Call<New<GroupFields>>) -> Result<Created<One<GroupBody>>> {
    let New(fields) = call.body()?;
    let domain_id = match &fields.domain_id {
        Some(id) => id.clone(),
        None => call.domain_id()?,
    };
    call.allow(&policy::CREATE_GROUP, &Target::domain(domain_id.clone()))?;
    let group = ops::create(&call.state, &domain_id, fields).await?;
    Ok(Created(One(GroupBody::new(group, call.base()))))
}

async fn show(call: Call) -> Result<Json<One<GroupBody>>> {
    let group = found(&call, &policy::GET_GROUP).await?;
    Ok(Json(One(GroupBody::new(group, call.base()))))
}

async fn update(call: Call<Change<GroupFields>>) -> Result<Json<One<GroupBody>>> {
    let group = found(&call, &policy::UPDATE_GROUP).await?;
    let fields = call.body()?.of(&group.id)?;
    let group = ops::update(&call.state, &group.id, fields).await?;
    Ok(Json(One(GroupBody::new(group, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    let rule = &policy::DELETE_GROUP;
    let group = found(&call, rule).await?;
    refuse_foreign_roles(
        &call,
        rule,
        &Actor::Group(group.id.clone()),
        &target(&group),
    )
    .await?;
    ops::delete(&call.state, &group.id).await?;
    Ok(NoContent)
}

/// Returns the group of the path if the rule allows it. Callers that may not see
/// groups must not learn which groups exist.
async fn found<B>(call: &Call<B>, rule: &'static Rule) -> Result<Group> {
    let id = call.param("group_id")?;
    let group = ops::get(&call.state, id).await;
    call.allow_found(rule, group, target, || missing("group", id))
}
