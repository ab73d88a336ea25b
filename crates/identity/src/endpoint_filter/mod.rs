//! Which endpoints the catalogue of a project contains: those that the project is
//! associated with, directly or by a group of endpoints; all of them if there are none.

pub(crate) mod http;
pub(crate) mod link_ops;
pub(crate) mod ops;
pub(crate) mod project_http;
pub(crate) mod table;
pub(crate) mod visible;
pub(crate) mod wire;

use serde_json::{Map, Value};

use crate::catalog::Endpoint;
use crate::ids::EndpointGroupId;

/// A group of the endpoints that have certain attributes, as stored.
#[derive(Debug, Clone)]
pub(crate) struct EndpointGroup {
    pub id: EndpointGroupId,
    pub name: String,
    pub description: Option<String>,
    /// The attributes: `service_id`, `region_id` and `interface`.
    pub filters: Map<String, Value>,
}

impl EndpointGroup {
    pub(crate) fn includes(&self, endpoint: &Endpoint) -> bool {
        self.filters.iter().all(|(name, wanted)| {
            let have = match name.as_str() {
                "service_id" => Some(endpoint.service_id.as_str()),
                "interface" => Some(endpoint.interface.as_str()),
                "region_id" => endpoint.region_id.as_deref(),
                _ => return false,
            };
            wanted.as_str() == have
        })
    }
}

/// What a project is associated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Endpoint,
    Group,
}

db::stored_enum! { Linked: Endpoint = "endpoint", Group = "group" }
