//! Routes of groups of endpoints.

use kernel::{Result, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{EndpointGroupBody, EndpointGroupFields};
use super::{ops, table};
use crate::call::{Call, IdentityCall};
use crate::catalog::wire::EndpointBody;
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[Param::text("name", "Groups of this name.").comparable()];

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/OS-EP-FILTER/endpoint_groups";
    let one = "/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}";
    vec![
        get(
            all,
            &policy::LIST_ENDPOINT_GROUPS,
            "List groups of endpoints.",
            list,
        )
        .query(&[PAGING, FILTERS]),
        post(
            all,
            &policy::CREATE_ENDPOINT_GROUP,
            "Create a group of endpoints.",
            create,
        ),
        get(
            one,
            &policy::GET_ENDPOINT_GROUP,
            "Show a group of endpoints.",
            show,
        ),
        patch_route(
            one,
            &policy::UPDATE_ENDPOINT_GROUP,
            "Change a group of endpoints.",
            update,
        ),
        delete(
            one,
            &policy::DELETE_ENDPOINT_GROUP,
            "Delete a group of endpoints.",
            remove,
        ),
        get(
            "/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints",
            &policy::LIST_GROUP_ENDPOINTS,
            "List the endpoints of a group.",
            endpoints,
        )
        .query(&[PAGING]),
    ]
}

async fn list(call: Call) -> Result<Json<Many<EndpointGroupBody>>> {
    call.allow(&policy::LIST_ENDPOINT_GROUPS, &Target::default())?;
    let all = table::list(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| EndpointGroupBody::new(found, call.base()))
        .collect();
    listing(&call, "/OS-EP-FILTER/endpoint_groups", items)
}

async fn show(call: Call) -> Result<Json<One<EndpointGroupBody>>> {
    call.allow(&policy::GET_ENDPOINT_GROUP, &Target::default())?;
    let found = ops::get(&call.state, call.param("endpoint_group_id")?).await?;
    Ok(Json(One(EndpointGroupBody::new(found, call.base()))))
}

async fn create(call: Call<New<EndpointGroupFields>>) -> Result<Created<One<EndpointGroupBody>>> {
    call.allow(&policy::CREATE_ENDPOINT_GROUP, &Target::default())?;
    let New(fields) = call.body()?;
    let made = ops::create(&call.state, fields).await?;
    Ok(Created(One(EndpointGroupBody::new(made, call.base()))))
}

async fn update(call: Call<Change<EndpointGroupFields>>) -> Result<Json<One<EndpointGroupBody>>> {
    call.allow(&policy::UPDATE_ENDPOINT_GROUP, &Target::default())?;
    let id = call.param("endpoint_group_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(EndpointGroupBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_ENDPOINT_GROUP, &Target::default())?;
    ops::delete(&call.state, call.param("endpoint_group_id")?).await?;
    Ok(NoContent)
}

async fn endpoints(call: Call) -> Result<Json<Many<EndpointBody>>> {
    call.allow(&policy::LIST_GROUP_ENDPOINTS, &Target::default())?;
    let group = ops::get(&call.state, call.param("endpoint_group_id")?).await?;
    let found = ops::endpoints_of(&call.state, &group).await?;
    let items = found
        .into_iter()
        .map(|e| EndpointBody::new(e, call.base()))
        .collect();
    let path = format!("/OS-EP-FILTER/endpoint_groups/{}/endpoints", group.id);
    listing(&call, &path, items)
}
