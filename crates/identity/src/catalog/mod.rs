//! The service catalogue: embedded entries store a path, which is rendered with
//! the public endpoint or the host of the request.

pub(crate) mod http;
pub(crate) mod wire;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) const REGION: &str = "RegionOne";

/// A service in the catalogue.
#[derive(Debug, Clone)]
pub struct CatalogEntry {
    pub service_type: &'static str,
    pub name: &'static str,
    /// Path on this server, such as `/identity/v3`.
    pub path: &'static str,
}

impl CatalogEntry {
    #[must_use]
    pub const fn new(service_type: &'static str, name: &'static str, path: &'static str) -> Self {
        Self {
            service_type,
            name,
            path,
        }
    }
}

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

/// A service with its ids, which are stable, because clients may cache them.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entry: CatalogEntry,
    pub(crate) service_id: String,
    endpoint_ids: [String; 3],
}

impl Listing {
    pub(crate) fn new(entry: CatalogEntry) -> Self {
        let kind = entry.service_type;
        Self {
            service_id: stable_id(&format!("service {kind}")),
            endpoint_ids: INTERFACES.map(|i| stable_id(&format!("endpoint {kind} {i}"))),
            entry,
        }
    }
}

/// 32 hex digits derived from a text.
fn stable_id(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// A service in the catalogue of a token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CatalogService {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) endpoints: Vec<CatalogEndpoint>,
}

/// An endpoint in the catalogue of a token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CatalogEndpoint {
    pub(crate) id: String,
    pub(crate) interface: &'static str,
    pub(crate) region_id: &'static str,
    pub(crate) region: &'static str,
    pub(crate) url: String,
}

/// The catalogue of a token.
pub(crate) fn render(listings: &[Listing], base: &str) -> Vec<CatalogService> {
    let endpoint = |listing: &Listing, at: usize| CatalogEndpoint {
        id: listing.endpoint_ids[at].clone(),
        interface: INTERFACES[at],
        region_id: REGION,
        region: REGION,
        url: format!("{base}{}", listing.entry.path),
    };
    let one = |listing: &Listing| CatalogService {
        id: listing.service_id.clone(),
        kind: listing.entry.service_type,
        name: listing.entry.name,
        endpoints: (0..INTERFACES.len())
            .map(|at| endpoint(listing, at))
            .collect(),
    };
    listings.iter().map(one).collect()
}
