//! Routes of roles.

use kernel::{Result, Rule, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{RoleBody, RoleFields};
use super::{Role, ops, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::errors::missing;
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

pub(crate) const NAME: &[Param] = &[Param::text("name", "Roles of this name.").comparable()];
const DOMAIN: &[Param] = &[Param::text(
    "domain_id",
    "Roles of this domain; without it, those of no domain.",
)];

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

/// A domain manager may read the roles of no domain.
fn may_read(call: &Call, rule: &'static Rule) -> Result<()> {
    let target = Target::domain(call.domain_id()?);
    call.allow(rule, &target)
}

async fn list(call: Call) -> Result<Json<Many<RoleBody>>> {
    let of_domain = call.asked("domain_id").is_some();
    if of_domain {
        call.allow(&policy::LIST_DOMAIN_ROLES, &Target::default())?;
        call.ctx()?.granted.record(&policy::LIST_ROLES);
    } else {
        may_read(&call, &policy::LIST_ROLES)?;
    }
    let all = table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .filter(|r| of_domain || r.domain_id.is_none())
        .map(|r| RoleBody::new(r, call.base()))
        .collect();
    listing(&call, "/roles", items)
}

async fn show(call: Call) -> Result<Json<One<RoleBody>>> {
    let own = Target::domain(call.domain_id()?);
    let rules = (&policy::GET_ROLE, &policy::GET_DOMAIN_ROLE);
    let role = found(&call, rules, &own).await?;
    Ok(Json(One(RoleBody::new(role, call.base()))))
}

async fn create(call: Call<New<RoleFields>>) -> Result<Created<One<RoleBody>>> {
    let body = call.body();
    let of_domain = |New(fields): &New<RoleFields>| matches!(fields.domain_id, Some(Some(_)));
    if body.as_ref().is_ok_and(of_domain) {
        call.allow(&policy::CREATE_DOMAIN_ROLE, &Target::default())?;
        call.ctx()?.granted.record(&policy::CREATE_ROLE);
    } else {
        call.allow(&policy::CREATE_ROLE, &Target::default())?;
    }
    let New(fields) = body?;
    let role = ops::create(&call.state, fields).await?;
    Ok(Created(One(RoleBody::new(role, call.base()))))
}

async fn update(call: Call<Change<RoleFields>>) -> Result<Json<One<RoleBody>>> {
    let rules = (&policy::UPDATE_ROLE, &policy::UPDATE_DOMAIN_ROLE);
    let role = found(&call, rules, &Target::default()).await?;
    let fields = call.body()?.of(&role.id)?;
    let role = ops::update(&call.state, &role.id, fields).await?;
    Ok(Json(One(RoleBody::new(role, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    let rules = (&policy::DELETE_ROLE, &policy::DELETE_DOMAIN_ROLE);
    let role = found(&call, rules, &Target::default()).await?;
    ops::delete(&call.state, &role.id).await?;
    Ok(NoContent)
}

/// Returns the role of the path if the rule allows it: the first one for a role of no domain,
/// the second one for that of a domain. Callers whom only the first one allows must not learn
/// which roles domains have.
async fn found<B>(
    call: &Call<B>,
    (rule, of_domain): (&'static Rule, &'static Rule),
    target: &Target,
) -> Result<Role> {
    let id = call.param("role_id")?;
    match ops::get(&call.state, id).await {
        Ok(role) if role.domain_id.is_none() => call.allow(rule, target).map(|()| role),
        Ok(role) if call.allows(of_domain, &Target::default()) => {
            call.allow(of_domain, &Target::default())?;
            call.ctx()?.granted.record(rule);
            Ok(role)
        }
        Ok(_) => call.allow(rule, target).and(Err(missing("role", id))),
        Err(e) => call.allow(rule, target).and(Err(e)),
    }
}
