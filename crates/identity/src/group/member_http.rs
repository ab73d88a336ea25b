//! Routes of the users of groups.

use kernel::{Error, Result, Rule, Target};
use rest::{Json, NoContent, Route, delete, get, put};

use super::wire::GroupBody;
use super::{Group, http, ops, table};
use crate::assignment::Actor;
use crate::call::{Call, IdentityCall};
use crate::envelope::Many;
use crate::errors::missing;
use crate::foreign_roles::refuse_foreign_roles;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;
use crate::user::wire::UserBody;
use crate::user::{self, User};

pub(crate) fn routes() -> Vec<Route<State>> {
    let one = "/v3/groups/{group_id}/users/{user_id}";
    vec![
        get(
            "/v3/groups/{group_id}/users",
            &policy::LIST_GROUP_USERS,
            "List the users of a group.",
            users,
        )
        .query(&[PAGING, user::http::FILTERS]),
        get(
            one,
            &policy::CHECK_GROUP_USER,
            "Check whether a user is in a group.",
            check,
        ),
        put(one, &policy::ADD_GROUP_USER, "Add a user to a group.", add),
        delete(
            one,
            &policy::REMOVE_GROUP_USER,
            "Remove a user from a group.",
            remove,
        ),
        get(
            "/v3/users/{user_id}/groups",
            &policy::LIST_USER_GROUPS,
            "List the groups of a user.",
            groups,
        )
        .query(&[PAGING, http::FILTERS]),
    ]
}

async fn users(call: Call) -> Result<Json<Many<UserBody>>> {
    let id = call.param("group_id")?;
    let group = ops::get(&call.state, id).await;
    let target = |g: &Group| Target::domain(g.domain_id.clone());
    let rule = &policy::LIST_GROUP_USERS;
    let group = call.allow_found(rule, group, target, || missing("group", id))?;
    let users = user::table::of_group(&call.state.db, &group.id).await?;
    let items = users
        .into_iter()
        .map(|u| UserBody::new(u, call.base()))
        .collect();
    listing(&call, &format!("/groups/{}/users", group.id), items)
}

async fn groups(call: Call) -> Result<Json<Many<GroupBody>>> {
    let id = call.param("user_id")?;
    let user = user::ops::get(&call.state, id).await;
    let missing = || missing("user", id);
    let user = call.allow_found(&policy::LIST_USER_GROUPS, user, user::http::target, missing)?;
    let groups = table::of_user(&call.state.db, &user.id).await?;
    let items = groups
        .into_iter()
        .map(|g| GroupBody::new(g, call.base()))
        .collect();
    listing(&call, &format!("/users/{}/groups", user.id), items)
}

async fn check(call: Call) -> Result<NoContent> {
    let (group, user) = load(&call, &policy::CHECK_GROUP_USER).await?;
    if table::is_member(&call.state.db, &group.id, &user.id).await? {
        return Ok(NoContent);
    }
    Err(ops::no_member(&group.id, &user.id))
}

async fn add(call: Call) -> Result<NoContent> {
    let (group, user) = change(&call, &policy::ADD_GROUP_USER).await?;
    ops::add_member(&call.state, &group.id, &user.id).await?;
    Ok(NoContent)
}

async fn remove(call: Call) -> Result<NoContent> {
    let (group, user) = change(&call, &policy::REMOVE_GROUP_USER).await?;
    ops::remove_member(&call.state, &group.id, &user.id).await?;
    Ok(NoContent)
}

/// As [`load`]; the manager of a domain must neither give nor take roles outside of it.
async fn change(call: &Call, rule: &'static Rule) -> Result<(Group, User)> {
    let (group, user) = load(call, rule).await?;
    let actor = Actor::Group(group.id.clone());
    refuse_foreign_roles(call, rule, &actor, &target(&group, &user)).await?;
    Ok((group, user))
}

/// The policy target; it has a domain only if group and user share it, and a user
/// only for the owner of the membership.
fn target(group: &Group, user: &User) -> Target {
    Target {
        domain_id: Some(group.domain_id.clone()).filter(|d| *d == user.domain_id),
        user_id: Some(user.id.clone()),
        ..Target::default()
    }
}

/// The group and the user of the path, if the rule allows it. Callers whom the rule
/// does not allow must not learn which of them exist.
async fn load(call: &Call, rule: &'static Rule) -> Result<(Group, User)> {
    let found = async {
        let group = ops::get(&call.state, call.param("group_id")?).await?;
        let user = user::ops::get(&call.state, call.param("user_id")?).await?;
        Ok::<_, Error>((group, user))
    };
    match found.await {
        Ok((group, user)) => call
            .allow(rule, &target(&group, &user))
            .map(|()| (group, user)),
        // As for objects of another domain, which managers of a domain cannot reach.
        Err(e) => call.allow(rule, &Target::default()).and(Err(e)),
    }
}
