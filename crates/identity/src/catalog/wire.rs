//! Bodies of services, endpoints and regions.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::render::absolute;
use super::{Endpoint, Region, Service};
use crate::envelope::{SelfLink, nouns};
use crate::errors::wrong;
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A service as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ServiceBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// An endpoint as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndpointBody {
    id: String,
    interface: String,
    region_id: Option<String>,
    region: Option<String>,
    url: String,
    links: SelfLink,
    service_id: String,
    enabled: bool,
    /// Attributes that Keystone does not know, such as a name.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// A region as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegionBody {
    id: String,
    description: String,
    parent_region_id: Option<String>,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! {
    ServiceBody = "service", "services";
    EndpointBody = "endpoint", "endpoints";
    RegionBody = "region", "regions";
}

impl ServiceBody {
    pub(super) fn new(s: Service, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/services/{}", s.id)),
            id: s.id.into(),
            kind: s.kind,
            name: s.name,
            enabled: s.enabled,
            description: s.description,
            extra: s.extra.0,
        }
    }
}

impl EndpointBody {
    pub(crate) fn new(e: Endpoint, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/endpoints/{}", e.id)),
            id: e.id.into(),
            interface: e.interface,
            region_id: e.region_id.clone(),
            region: e.region_id,
            url: absolute(&e.url, base),
            service_id: e.service_id.into(),
            enabled: e.enabled,
            extra: e.extra.0,
        }
    }
}

impl RegionBody {
    pub(super) fn new(r: Region, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/regions/{}", r.id)),
            id: r.id,
            description: r.description,
            parent_region_id: r.parent_region_id,
            extra: r.extra.0,
        }
    }
}

fn or_nothing(text: Option<&String>) -> Filter<'_> {
    text.map_or(Filter::Nothing, |text| Filter::Text(text))
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
            "region_id" => Some(or_nothing(self.region_id.as_ref())),
            _ => None,
        }
    }
}

impl Listed for RegionBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        (name == "parent_region_id").then(|| or_nothing(self.parent_region_id.as_ref()))
    }
}

/// The attributes of a service that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct ServiceFields {
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<Option<String>>,
    pub(super) enabled: Option<bool>,
    pub(super) extra: Map<String, Value>,
}

impl FromObject for ServiceFields {
    const NOUN: &'static str = "service";
    const FIELDS: &'static [Field] = &[
        field("type", Holds::Name, 255),
        field("name", Holds::Text, 255),
        field("description", Holds::Nullable, LONG),
        field("enabled", Holds::Flag, 0),
    ];
    const REQUIRED: &'static [&'static str] = &["type"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            kind: o.text("type"),
            name: o.text("name"),
            description: o.nullable("description"),
            enabled: o.flag("enabled"),
            extra: o.extra(),
        })
    }
}

/// The attributes of an endpoint that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct EndpointFields {
    pub(super) service_id: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) url: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) region_id: Option<Option<String>>,
    /// The region in version 2; ignored beside `region_id`.
    pub(super) region: Option<Option<String>>,
    pub(super) extra: Map<String, Value>,
}

/// Keystone's pattern of URLs.
const URL: &str = "^[a-zA-Z0-9+.-]+:.+";

impl FromObject for EndpointFields {
    const NOUN: &'static str = "endpoint";
    const FIELDS: &'static [Field] = &[
        field("service_id", Holds::Name, 64),
        field("interface", Holds::Text, 8),
        field("url", Holds::Text, 225),
        field("enabled", Holds::Flag, 0),
        field("region_id", Holds::Nullable, 255),
        field("region", Holds::Nullable, 255),
    ];
    const REQUIRED: &'static [&'static str] = &["interface", "service_id", "url"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        let fields = Self {
            service_id: o.text("service_id"),
            interface: o.text("interface"),
            url: o.text("url"),
            enabled: o.flag("enabled"),
            region_id: o.nullable("region_id"),
            region: o.nullable("region"),
            extra: o.extra(),
        };
        let known = ["admin", "internal", "public"];
        if let Some(other) = fields.interface.as_deref().filter(|i| !known.contains(i)) {
            let why = format!("'{other}' is not one of ['admin', 'internal', 'public']");
            return Err(wrong("interface", other, &why));
        }
        if let Some(other) = fields.url.as_deref().filter(|url| !is_url(url)) {
            let why = format!("'{other}' does not match '{URL}'");
            return Err(wrong("url", other, &why));
        }
        Ok(fields)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl EndpointFields {
    /// A URL that passes the check can be rendered.
    pub(crate) fn expand(&self) {
        let url = self.url.as_deref().unwrap_or_default();
        assert!(
            super::url::check(url).is_err()
                || super::url::expand(
                    url,
                    super::url::Values {
                        project_id: Some("p"),
                        user_id: Some("u"),
                    }
                )
                .is_ok()
        );
    }
}

/// Whether a text matches [`URL`].
fn is_url(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        !scheme.is_empty() && scheme.chars().all(allowed)
    };
    text.split_once(':')
        .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}

/// The attributes of a region that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct RegionFields {
    /// Only of a new region.
    pub(super) id: Option<String>,
    pub(super) description: Option<Option<String>>,
    pub(super) parent_region_id: Option<Option<String>>,
    pub(super) extra: Map<String, Value>,
}

impl FromObject for RegionFields {
    const NOUN: &'static str = "region";
    const FIELDS: &'static [Field] = &[
        field("id", Holds::Text, 255),
        field("description", Holds::Nullable, LONG),
        field("parent_region_id", Holds::Nullable, 255),
    ];
    const REQUIRED: &'static [&'static str] = &[];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            id: o.text("id"),
            description: o.nullable("description"),
            parent_region_id: o.nullable("parent_region_id"),
            extra: o.extra(),
        })
    }
}
