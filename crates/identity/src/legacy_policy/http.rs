//! Routes of policies.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{PolicyBody, PolicyFields};
use super::{ops, table};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[Param::text("type", "Policies of this type.").comparable()];

pub(crate) fn routes() -> Vec<Route<State>> {
    let (all, one) = ("/v3/policies", "/v3/policies/{policy_id}");
    vec![
        get(all, &policy::LIST_POLICIES, "List policies.", list).query(&[PAGING, FILTERS]),
        post(all, &policy::CREATE_POLICY, "Create a policy.", create),
        get(one, &policy::GET_POLICY, "Show a policy.", show),
        patch_route(one, &policy::UPDATE_POLICY, "Change a policy.", update),
        delete(one, &policy::DELETE_POLICY, "Delete a policy.", remove),
    ]
}

async fn list(call: Call) -> Result<Json<Many<PolicyBody>>> {
    call.allow(&policy::LIST_POLICIES, &Target::default())?;
    let all = table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| PolicyBody::new(found, call.base()))
        .collect();
    listing(&call, "/policies", items)
}

async fn show(call: Call) -> Result<Json<One<PolicyBody>>> {
    call.allow(&policy::GET_POLICY, &Target::default())?;
    let found = ops::get(&call.state, call.param("policy_id")?).await?;
    Ok(Json(One(PolicyBody::new(found, call.base()))))
}

async fn create(call: Call<New<PolicyFields>>) -> Result<Created<One<PolicyBody>>> {
    call.allow(&policy::CREATE_POLICY, &Target::default())?;
    let New(fields) = call.body()?;
    let made = ops::create(&call.state, fields).await?;
    Ok(Created(One(PolicyBody::new(made, call.base()))))
}

async fn update(call: Call<Change<PolicyFields>>) -> Result<Json<One<PolicyBody>>> {
    call.allow(&policy::UPDATE_POLICY, &Target::default())?;
    let id = call.param("policy_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(PolicyBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_POLICY, &Target::default())?;
    ops::delete(&call.state, call.param("policy_id")?).await?;
    Ok(NoContent)
}
