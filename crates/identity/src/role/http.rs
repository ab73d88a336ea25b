//! Routes of roles.

use kernel::{Result, Rule, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{RoleBody, RoleFields};
use super::{ops, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

pub(crate) const NAME: &[Param] = &[Param::text("name", "Roles of this name.").comparable()];
const DOMAIN: &[Param] = &[Param::text("domain_id", "Roles of this domain: none.")];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get("/v3/roles", &policy::LIST_ROLES, "List roles.", list).query(&[PAGING, NAME, DOMAIN]),
        post("/v3/roles", &policy::CREATE_ROLE, "Create a role.", create),
        get(
            "/v3/roles/{role_id}",
            &policy::GET_ROLE,
            "Show a role.",
            show,
        ),
        patch_route(
            "/v3/roles/{role_id}",
            &policy::UPDATE_ROLE,
            "Change a role.",
            update,
        ),
        delete(
            "/v3/roles/{role_id}",
            &policy::DELETE_ROLE,
            "Delete a role.",
            remove,
        ),
    ]
}

/// Roles belong to no domain; a domain manager may read them.
fn may_read(call: &Call, rule: &'static Rule) -> Result<()> {
    let target = Target::domain(call.domain_id()?);
    call.allow(rule, &target)
}

async fn list(call: Call) -> Result<Json<Many<RoleBody>>> {
    may_read(&call, &policy::LIST_ROLES)?;
    let all = table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|r| RoleBody::new(r, call.base()))
        .collect();
    listing(&call, "/roles", items)
}

async fn show(call: Call) -> Result<Json<One<RoleBody>>> {
    may_read(&call, &policy::GET_ROLE)?;
    let role = ops::get(&call.state, call.param("role_id")?).await?;
    Ok(Json(One(RoleBody::new(role, call.base()))))
}

async fn create(call: Call<New<RoleFields>>) -> Result<Created<One<RoleBody>>> {
    call.allow(&policy::CREATE_ROLE, &Target::default())?;
    let New(fields) = call.body()?;
    let role = ops::create(&call.state, fields).await?;
    Ok(Created(One(RoleBody::new(role, call.base()))))
}

async fn update(call: Call<Change<RoleFields>>) -> Result<Json<One<RoleBody>>> {
    call.allow(&policy::UPDATE_ROLE, &Target::default())?;
    let id = call.param("role_id")?;
    ops::get(&call.state, id).await?;
    let fields = call.body()?.of(id)?;
    let role = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(RoleBody::new(role, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_ROLE, &Target::default())?;
    ops::delete(&call.state, call.param("role_id")?).await?;
    Ok(NoContent)
}
