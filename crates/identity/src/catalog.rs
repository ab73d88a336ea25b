//! The service catalogue: embedded entries store a path, which is rendered with
//! the public endpoint or the host of the request.

use serde_json::{Value, json};

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

/// The catalogue of a token.
pub(crate) fn render(entries: &[CatalogEntry], base: &str) -> Value {
    entries
        .iter()
        .map(|e| {
            let endpoints: Vec<Value> = ["public", "internal", "admin"]
                .iter()
                .map(|interface| {
                    json!({
                        "id": stable_id(&format!("endpoint {} {interface}", e.service_type)),
                        "interface": interface, "region_id": REGION, "region": REGION,
                        "url": format!("{base}{}", e.path),
                    })
                })
                .collect();
            json!({"id": e.service_id(), "type": e.service_type, "name": e.name, "endpoints": endpoints})
        })
        .collect()
}
