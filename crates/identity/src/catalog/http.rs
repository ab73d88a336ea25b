//! Read-only lists of the catalogue: services, endpoints, regions.

use kernel::{Result, Target};
use rest::{Access, Json, Param, Route, get};

use super::wire::{EndpointBody, RegionBody, ServiceBody};
use super::{Listing, REGION, render};
use crate::call::{Call, IdentityCall};
use crate::envelope::{Many, Noun, One, SelfLink};
use crate::errors::missing;
use crate::filter::Listed;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const SERVICES: &[Param] = &[
    Param::text("type", "Services of this type."),
    Param::text("name", "Services of this name.").comparable(),
];
const ENDPOINTS: &[Param] = &[
    Param::text("interface", "Endpoints of this interface."),
    Param::text("service_id", "Endpoints of this service."),
    Param::text("region_id", "Endpoints in this region."),
];
const REGIONS: &[Param] = &[Param::text(
    "parent_region_id",
    "Regions directly below this one.",
)];

/// Keystone lets every caller read regions.
const ANYONE: Access = Access::AnyToken("Regions are the same for all callers.");

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get(
            "/v3/services",
            &policy::LIST_SERVICES,
            "List services.",
            services,
        )
        .query(&[PAGING, SERVICES]),
        get(
            "/v3/services/{service_id}",
            &policy::LIST_SERVICES,
            "Show a service.",
            service,
        ),
        get(
            "/v3/endpoints",
            &policy::LIST_ENDPOINTS,
            "List endpoints.",
            endpoints,
        )
        .query(&[PAGING, ENDPOINTS]),
        get(
            "/v3/endpoints/{endpoint_id}",
            &policy::LIST_ENDPOINTS,
            "Show an endpoint.",
            endpoint,
        ),
        get("/v3/regions", ANYONE, "List regions.", regions).query(&[PAGING, REGIONS]),
        get("/v3/regions/{region_id}", ANYONE, "Show a region.", region),
    ]
}

fn all_services(call: &Call) -> Vec<ServiceBody> {
    let one = |listing: &Listing| {
        let (id, e) = (listing.service_id.clone(), &listing.entry);
        ServiceBody {
            links: SelfLink::new(call.base(), &format!("/services/{id}")),
            id,
            kind: e.service_type.to_owned(),
            name: e.name.to_owned(),
            enabled: true,
            description: String::new(),
        }
    };
    call.state.catalog.iter().map(one).collect()
}

fn all_endpoints(call: &Call) -> Vec<EndpointBody> {
    let mut out = Vec::new();
    for service in render(&call.state.catalog, call.base()) {
        for e in service.endpoints {
            out.push(EndpointBody {
                links: SelfLink::new(call.base(), &format!("/endpoints/{}", e.id)),
                id: e.id,
                interface: e.interface.to_owned(),
                region_id: e.region_id.to_owned(),
                region: e.region.to_owned(),
                url: e.url,
                service_id: service.id.clone(),
                enabled: true,
            });
        }
    }
    out
}

fn all_regions(call: &Call) -> Vec<RegionBody> {
    vec![RegionBody {
        id: REGION.to_owned(),
        description: String::new(),
        parent_region_id: None,
        links: SelfLink::new(call.base(), &format!("/regions/{REGION}")),
    }]
}

fn by_id<T: Listed + Noun>(items: Vec<T>, id: &str) -> Result<Json<One<T>>> {
    let found = items.into_iter().find(|i| i.id() == id);
    found
        .map(|item| Json(One(item)))
        .ok_or_else(|| missing(T::ONE, id))
}

async fn services(call: Call) -> Result<Json<Many<ServiceBody>>> {
    call.allow(&policy::LIST_SERVICES, &Target::default())?;
    listing(&call, "/services", all_services(&call))
}

async fn service(call: Call) -> Result<Json<One<ServiceBody>>> {
    call.allow(&policy::LIST_SERVICES, &Target::default())?;
    by_id(all_services(&call), call.param("service_id")?)
}

async fn endpoints(call: Call) -> Result<Json<Many<EndpointBody>>> {
    call.allow(&policy::LIST_ENDPOINTS, &Target::default())?;
    listing(&call, "/endpoints", all_endpoints(&call))
}

async fn endpoint(call: Call) -> Result<Json<One<EndpointBody>>> {
    call.allow(&policy::LIST_ENDPOINTS, &Target::default())?;
    by_id(all_endpoints(&call), call.param("endpoint_id")?)
}

async fn regions(call: Call) -> Result<Json<Many<RegionBody>>> {
    listing(&call, "/regions", all_regions(&call))
}

async fn region(call: Call) -> Result<Json<One<RegionBody>>> {
    by_id(all_regions(&call), call.param("region_id")?)
}
