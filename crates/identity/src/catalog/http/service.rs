//! Routes of services.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use crate::call::{Call, IdentityCall};
use crate::catalog::ops::service as ops;
use crate::catalog::table;
use crate::catalog::wire::{ServiceBody, ServiceFields};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("type", "Services of this type."),
    Param::text("name", "Services of this name.").comparable(),
];

pub(super) fn routes() -> Vec<Route<State>> {
    let (all, one) = ("/v3/services", "/v3/services/{service_id}");
    vec![
        get(all, &policy::LIST_SERVICES, "List services.", list).query(&[PAGING, FILTERS]),
        post(all, &policy::CREATE_SERVICE, "Create a service.", create),
        get(one, &policy::GET_SERVICE, "Show a service.", show),
        patch_route(one, &policy::UPDATE_SERVICE, "Change a service.", update),
        delete(one, &policy::DELETE_SERVICE, "Delete a service.", remove),
    ]
}

async fn list(call: Call) -> Result<Json<Many<ServiceBody>>> {
    call.allow(&policy::LIST_SERVICES, &Target::default())?;
    let all = table::services(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| ServiceBody::new(found, call.base()))
        .collect();
    listing(&call, "/services", items)
}

async fn show(call: Call) -> Result<Json<One<ServiceBody>>> {
    call.allow(&policy::GET_SERVICE, &Target::default())?;
    let found = ops::get(&call.state, call.param("service_id")?).await?;
    Ok(Json(One(ServiceBody::new(found, call.base()))))
}

async fn create(call: Call<New<ServiceFields>>) -> Result<Created<One<ServiceBody>>> {
    call.allow(&policy::CREATE_SERVICE, &Target::default())?;
    let New(fields) = call.body()?;
    let made = ops::create(&call.state, fields).await?;
    Ok(Created(One(ServiceBody::new(made, call.base()))))
}

async fn update(call: Call<Change<ServiceFields>>) -> Result<Json<One<ServiceBody>>> {
    call.allow(&policy::UPDATE_SERVICE, &Target::default())?;
    let id = call.param("service_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(ServiceBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_SERVICE, &Target::default())?;
    ops::delete(&call.state, call.param("service_id")?).await?;
    Ok(NoContent)
}
