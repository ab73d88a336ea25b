//! Bodies of groups of endpoints.

use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::EndpointGroup;
use crate::envelope::{SelfLink, nouns};
use crate::errors::wrong;
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A group of endpoints as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndpointGroupBody {
    id: String,
    name: String,
    description: Option<String>,
    filters: Map<String, Value>,
    links: SelfLink,
}

/// The association of a project with a group of endpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProjectGroupBody {
    endpoint_group_id: String,
    project_id: String,
    links: SelfLink,
}

nouns! {
    EndpointGroupBody = "endpoint_group", "endpoint_groups";
    ProjectGroupBody = "project_endpoint_group", "project_endpoint_groups";
}

impl EndpointGroupBody {
    pub(super) fn new(g: EndpointGroup, base: &str) -> Self {
        let path = format!("/OS-EP-FILTER/endpoint_groups/{}", g.id);
        Self {
            links: SelfLink::new(base, &path),
            id: g.id.into(),
            name: g.name,
            description: g.description,
            filters: g.filters,
        }
    }
}

impl ProjectGroupBody {
    pub(super) fn new(group_id: &str, project_id: &str, base: &str) -> Self {
        let path = format!("/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}");
        Self {
            links: SelfLink::new(base, &path),
            endpoint_group_id: group_id.to_owned(),
            project_id: project_id.to_owned(),
        }
    }
}

impl Listed for EndpointGroupBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        (name == "name").then_some(Filter::Text(&self.name))
    }
}

/// The attributes of a group that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct EndpointGroupFields {
    pub(super) name: Option<String>,
    pub(super) description: Option<Option<String>>,
    pub(super) filters: Option<Map<String, Value>>,
}

impl FromObject for EndpointGroupFields {
    const NOUN: &'static str = "endpoint_group";
    const FIELDS: &'static [Field] = &[
        field("name", Holds::Name, 255),
        field("description", Holds::Nullable, LONG),
        field("filters", Holds::Options, 0),
    ];
    const REQUIRED: &'static [&'static str] = &["name", "filters"];
    const UNKNOWN: Unknown = Unknown::Refused;

    fn from_object(mut o: Object) -> Result<Self> {
        let fields = Self {
            name: o.text("name"),
            description: o.nullable("description"),
            filters: o.map("filters"),
        };
        if let Some(filters) = &fields.filters {
            check_filters(filters)?;
        }
        Ok(fields)
    }
}

fn check_filters(filters: &Map<String, Value>) -> Result<()> {
    if filters.is_empty() {
        let text = "filters field is required and cannot be empty";
        return Err(Error::invalid("filters", text));
    }
    for (name, value) in filters {
        let (is_right, why) = match (name.as_str(), value) {
            ("interface", value) => (
                ["admin", "internal", "public"].iter().any(|i| value == i),
                "it is not one of ['admin', 'internal', 'public'].",
            ),
            ("service_id", Value::String(id)) => {
                (id.len() <= 64, "the id of a service is expected.")
            }
            ("service_id", _) => (false, "the id of a service is expected."),
            ("region_id", Value::Null) => (true, ""),
            ("region_id", Value::String(id)) => {
                (id.chars().count() <= 255, "the id of a region is expected.")
            }
            ("region_id", _) => (false, "the id of a region is expected."),
            _ => {
                let text = "Expecting to find service_id or region_id or interface in \
                            endpoint_group. The server could not comply with the request since it \
                            is either malformed or otherwise incorrect. The client is assumed to \
                            be in error.";
                return Err(Error::invalid("filters", text));
            }
        };
        if !is_right {
            return Err(wrong(&format!("filters/{name}"), &value.to_string(), why));
        }
    }
    Ok(())
}
