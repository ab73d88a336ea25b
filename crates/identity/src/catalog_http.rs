//! Read-only lists of the catalogue: services, endpoints, regions. Also the
//! list of groups, which is always empty.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use kernel::Target;
use serde_json::{Value, json};

use crate::Identity;
use crate::call::{Call, Reply, missing, shown};
use crate::catalog::{self, REGION};

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route("/identity/v3/services", get(services))
        .route("/identity/v3/services/{id}", get(service))
        .route("/identity/v3/endpoints", get(endpoints))
        .route("/identity/v3/endpoints/{id}", get(endpoint))
        .route("/identity/v3/regions", get(regions))
        .route("/identity/v3/regions/{id}", get(region))
        .route("/identity/v3/groups", get(groups))
}

fn all_services(call: &Call) -> Vec<Value> {
    let one = |e: &crate::CatalogEntry| {
        let id = e.service_id();
        let link = format!("{}/identity/v3/services/{id}", call.base);
        json!({"id": id, "type": e.service_type, "name": e.name, "enabled": true,
            "description": "", "links": {"self": link}})
    };
    call.identity.catalog.iter().map(one).collect()
}

fn all_endpoints(call: &Call) -> Vec<Value> {
    let rendered = catalog::render(&call.identity.catalog, &call.base);
    let mut out = Vec::new();
    for service in rendered.as_array().into_iter().flatten() {
        for endpoint in service["endpoints"].as_array().into_iter().flatten() {
            let mut one = endpoint.clone();
            let id = one["id"].as_str().unwrap_or_default();
            one["links"] = json!({"self": format!("{}/identity/v3/endpoints/{id}", call.base)});
            one["service_id"] = service["id"].clone();
            one["enabled"] = true.into();
            out.push(one);
        }
    }
    out
}

fn by_id(items: Vec<Value>, what: &str, id: &str) -> kernel::Result<Value> {
    let found = items.into_iter().find(|i| i["id"] == id);
    found.ok_or_else(|| missing(what, id))
}

async fn services(call: Call) -> Reply {
    call.allow("identity:list_services", &Target::default())?;
    Ok(call.list(
        "services",
        "/services",
        all_services(&call),
        &["type", "name"],
    )?)
}

async fn service(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:list_services", &Target::default())?;
    Ok(shown(
        json!({"service": by_id(all_services(&call), "service", &id)?}),
    ))
}

async fn endpoints(call: Call) -> Reply {
    call.allow("identity:list_endpoints", &Target::default())?;
    let filters = ["interface", "service_id", "region_id"];
    Ok(call.list("endpoints", "/endpoints", all_endpoints(&call), &filters)?)
}

async fn endpoint(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:list_endpoints", &Target::default())?;
    Ok(shown(
        json!({"endpoint": by_id(all_endpoints(&call), "endpoint", &id)?}),
    ))
}

fn region_body(call: &Call) -> Value {
    let link = format!("{}/identity/v3/regions/{REGION}", call.base);
    json!({"id": REGION, "description": "", "parent_region_id": null, "links": {"self": link}})
}

async fn regions(call: Call) -> Reply {
    Ok(call.list(
        "regions",
        "/regions",
        vec![region_body(&call)],
        &["parent_region_id"],
    )?)
}

async fn region(Path(id): Path<String>, call: Call) -> Reply {
    Ok(shown(
        json!({"region": by_id(vec![region_body(&call)], "region", &id)?}),
    ))
}

async fn groups(call: Call) -> Reply {
    let own = Target::domain(call.domain_id()?);
    call.allow("identity:list_groups", &own)?;
    Ok(call.list("groups", "/groups", vec![], &["name", "domain_id"])?)
}
