//! The catalogue of a token.

use std::sync::Arc;

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::url::{Values, expand};
use super::{Catalog, Endpoint, Service, table};
use crate::endpoint_filter::visible;
use crate::state::State;

/// A service in the catalogue of a token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CatalogService {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    endpoints: Vec<CatalogEndpoint>,
}

/// An endpoint in the catalogue of a token.
#[derive(Debug, Serialize, JsonSchema)]
struct CatalogEndpoint {
    id: String,
    interface: String,
    region_id: Option<String>,
    region: Option<String>,
    url: String,
}

/// Whose catalogue it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bearer<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) project_id: Option<&'a str>,
}

/// The catalogue as stored; it may be two seconds old.
///
/// # Errors
/// Same errors as [`db::Db::query`].
pub(crate) async fn load(state: &State) -> Result<Arc<Catalog>> {
    if let Some(catalog) = state.cache.catalog() {
        return Ok(catalog);
    }
    let generation = state.cache.generation();
    let mut endpoints = table::endpoints(&state.db).await?;
    let mut catalog = Catalog {
        visible: visible::load(&state.db, &endpoints).await?,
        services: vec![],
    };
    endpoints.retain(|e| e.enabled);
    for service in table::services(&state.db).await? {
        if service.enabled {
            let of_service = |e: &&mut Endpoint| e.service_id == service.id;
            let own = endpoints.iter_mut().filter(of_service);
            let own = own.map(|e| e.clone()).collect();
            catalog.services.push((service, own));
        }
    }
    let catalog = Arc::new(catalog);
    state.cache.put_catalog(catalog.clone(), generation);
    Ok(catalog)
}

/// The catalogue for a token. An endpoint whose variables have no value in the token is
/// left out, and so is what the project of the token is not associated with.
pub(crate) fn render(catalog: &Catalog, base: &str, bearer: Bearer<'_>) -> Vec<CatalogService> {
    let values = Values {
        project_id: bearer.project_id,
        user_id: Some(bearer.user_id),
    };
    let visible = bearer.project_id.and_then(|id| catalog.visible.get(id));
    let endpoint = |e: &Endpoint| {
        if visible.is_some_and(|ids| !ids.contains(&e.id)) {
            return None;
        }
        let url = expand(&e.url, values).ok()?;
        Some(CatalogEndpoint {
            id: e.id.to_string(),
            interface: e.interface.clone(),
            region_id: e.region_id.clone(),
            region: e.region_id.clone(),
            url: absolute(&url, base),
        })
    };
    let one = |(service, endpoints): &(Service, Vec<Endpoint>)| CatalogService {
        id: service.id.to_string(),
        kind: service.kind.clone(),
        name: service.name.clone(),
        endpoints: endpoints.iter().filter_map(endpoint).collect(),
    };
    let mut shown: Vec<CatalogService> = catalog.services.iter().map(one).collect();
    if visible.is_some() {
        // Keystone leaves services without endpoints out only in this case.
        shown.retain(|service| !service.endpoints.is_empty());
    }
    shown
}

/// The URL of an endpoint; `base` is `scheme://host` of this server.
pub(super) fn absolute(url: &str, base: &str) -> String {
    if url.starts_with('/') {
        return format!("{base}{url}");
    }
    url.to_owned()
}
