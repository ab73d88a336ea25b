//! The service catalogue: embedded entries store a path, which is rendered with
//! the public endpoint or the host of the request.

pub(crate) mod http;

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

    /// A stable id, which clients may cache.
    #[must_use]
    pub fn service_id(&self) -> String {
        stable_id(&format!("service {}", self.service_type))
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
pub(crate) fn render(entries: &[CatalogEntry], base: &str) -> Vec<CatalogService> {
    let one = |e: &CatalogEntry| CatalogService {
        id: e.service_id(),
        kind: e.service_type,
        name: e.name,
        endpoints: ["public", "internal", "admin"]
            .map(|interface| CatalogEndpoint {
                id: stable_id(&format!("endpoint {} {interface}", e.service_type)),
                interface,
                region_id: REGION,
                region: REGION,
                url: format!("{base}{}", e.path),
            })
            .into(),
    };
    entries.iter().map(one).collect()
}
