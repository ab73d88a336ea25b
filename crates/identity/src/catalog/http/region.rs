//! Routes of regions.

use kernel::{Result, Target};
use rest::{Access, Created, Json, NoContent, Param, Route, delete, get, patch_route, post, put};

use crate::call::{Call, IdentityCall};
use crate::catalog::ops::region as ops;
use crate::catalog::table;
use crate::catalog::wire::{RegionBody, RegionFields};
use crate::envelope::{Many, One};
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[Param::text(
    "parent_region_id",
    "Regions directly below this one.",
)];

/// Keystone lets every caller read regions.
const ANYONE: Access = Access::AnyToken("Regions are the same for all callers.");

pub(super) fn routes() -> Vec<Route<State>> {
    let (all, one) = ("/v3/regions", "/v3/regions/{region_id}");
    vec![
        get(all, ANYONE, "List regions.", list).query(&[PAGING, FILTERS]),
        post(all, &policy::CREATE_REGION, "Create a region.", create),
        get(one, ANYONE, "Show a region.", show),
        patch_route(one, &policy::UPDATE_REGION, "Change a region.", update),
        put(
            one,
            &policy::CREATE_REGION,
            "Create a region with this id.",
            create_with_id,
        ),
        delete(one, &policy::DELETE_REGION, "Delete a region.", remove),
    ]
}

async fn list(call: Call) -> Result<Json<Many<RegionBody>>> {
    let all = table::regions(&call.state.db).await?;
    let items = all
        .into_iter()
        .map(|found| RegionBody::new(found, call.base()))
        .collect();
    listing(&call, "/regions", items)
}

async fn show(call: Call) -> Result<Json<One<RegionBody>>> {
    let found = ops::get(&call.state, call.param("region_id")?).await?;
    Ok(Json(One(RegionBody::new(found, call.base()))))
}

async fn create(call: Call<New<RegionFields>>) -> Result<Created<One<RegionBody>>> {
    call.allow(&policy::CREATE_REGION, &Target::default())?;
    let New(fields) = call.body()?;
    let made = ops::create(&call.state, None, fields).await?;
    Ok(Created(One(RegionBody::new(made, call.base()))))
}

async fn create_with_id(call: Call<New<RegionFields>>) -> Result<Created<One<RegionBody>>> {
    call.allow(&policy::CREATE_REGION, &Target::default())?;
    let New(fields) = call.body()?;
    let id = call.param("region_id")?.to_owned();
    let made = ops::create(&call.state, Some(&id), fields).await?;
    Ok(Created(One(RegionBody::new(made, call.base()))))
}

async fn update(call: Call<Change<RegionFields>>) -> Result<Json<One<RegionBody>>> {
    call.allow(&policy::UPDATE_REGION, &Target::default())?;
    let id = call.param("region_id")?;
    let fields = call.body()?.of(id)?;
    let changed = ops::update(&call.state, id, fields).await?;
    Ok(Json(One(RegionBody::new(changed, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    call.allow(&policy::DELETE_REGION, &Target::default())?;
    ops::delete(&call.state, call.param("region_id")?).await?;
    Ok(NoContent)
}
