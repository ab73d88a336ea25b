//! Routes of endpoints.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use crate::call::{Call, IdentityCall};
use crate::catalog::ops::endpoint as ops;
use crate::catalog::table;
use crate::catalog::wire::{EndpointBody, EndpointFields};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("interface", "Endpoints of this interface."),
    Param::text("service_id", "Endpoints of this service."),
    Param::text("region_id", "Endpoints in this region."),
];

pub(super) fn routes() -> Vec<Route<State>> {
    let (all, one) = ("/v3/endpoints", "/v3/endpoints/{endpoint_id}");
    vec![
        get(all, &policy::LIST_ENDPOINTS, "List endpoints.", list).query(&[PAGING, FILTERS]),
        post(all, &policy::CREATE_ENDPOINT, "Create an endpoint.", create),
        get(one, &policy::GET_ENDPOINT, "Show an endpoint.", show),
        patch_route(one, &policy::UPDATE_ENDPOINT, "Change an endpoint.", update),
        delete(one, &policy::DELETE_ENDPOINT, "Delete an endpoint.", remove),
    ]
}

async fn list(call: Call) -> Result<Json<Many<EndpointBody>>> {
    call.allow(&policy::LIST_ENDPOINTS, &Target::default())?;
    let all = table::endpoints(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| EndpointBody::new(found, call.base()))
        .collect();
    listing(&call, "/endpoints", items)
}

async fn show(call: Call) -> Result<Json<One<EndpointBody>>> {
    call.allow(&policy::GET_ENDPOINT, &Target::default())?;
    let found = ops::get(&call.state, call.param("endpoint_id")?).await?;
    Ok(Json(One(EndpointBody::new(found, call.base()))))
}

async fn create(call: Call<New<EndpointFields>>) -> Result<Created<One<EndpointBody>>> {
    call.allow(&policy::CREATE_ENDPOINT, &Target::default())?;
    let New(fields) = call.body()?;
    let made = ops::create(&call.state, fields).await?;
    Ok(Created(One(EndpointBody::new(made, call.base()))))
}

async fn update(call: Call<Change<EndpointFields>>) -> Result<Json<One<EndpointBody>>> {
    call.allow(&policy::UPDATE_ENDPOINT, &Target::default())?;
    let id = call.param("endpoint_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(EndpointBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_ENDPOINT, &Target::default())?;
    ops::delete(&call.state, call.param("endpoint_id")?).await?;
    Ok(NoContent)
}
