//! Bodies of services, endpoints and regions.

use schemars::JsonSchema;
use serde::Serialize;

use crate::envelope::{SelfLink, nouns};
use crate::filter::{Filter, Listed};

/// A service as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ServiceBody {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) description: String,
    pub(crate) links: SelfLink,
}

/// An endpoint as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndpointBody {
    pub(crate) id: String,
    pub(crate) interface: String,
    pub(crate) region_id: String,
    pub(crate) region: String,
    pub(crate) url: String,
    pub(crate) links: SelfLink,
    pub(crate) service_id: String,
    pub(crate) enabled: bool,
}

/// A region as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegionBody {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) parent_region_id: Option<String>,
    pub(crate) links: SelfLink,
}

nouns! {
    ServiceBody = "service", "services";
    EndpointBody = "endpoint", "endpoints";
    RegionBody = "region", "regions";
}

impl Listed for ServiceBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "type" => Some(Filter::Text(&self.kind)),
            "name" => Some(Filter::Text(&self.name)),
            _ => None,
        }
    }
}

impl Listed for EndpointBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "interface" => Some(Filter::Text(&self.interface)),
            "service_id" => Some(Filter::Text(&self.service_id)),
            "region_id" => Some(Filter::Text(&self.region_id)),
            _ => None,
        }
    }
}

impl Listed for RegionBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        (name == "parent_region_id").then_some(Filter::Nothing)
    }
}
