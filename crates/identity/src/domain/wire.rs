//! Bodies of domains.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Object, Unknown};
use crate::filter::{Filter, Listed};
use crate::project::Project;
use crate::project::wire::{CommonFields, DESCRIPTION, ENABLED, NAME, OPTIONS, TAGS};

/// A domain as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DomainBody {
    id: String,
    name: String,
    description: String,
    enabled: bool,
    tags: Vec<String>,
    options: Map<String, Value>,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { DomainBody = "domain", "domains"; }

impl DomainBody {
    pub(crate) fn new(d: Project, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/domains/{}", d.id)),
            id: d.id.into(),
            name: d.name,
            description: d.description,
            enabled: d.enabled,
            tags: Vec::new(),
            options: d.options.0,
            extra: d.extra.0,
        }
    }
}

impl Listed for DomainBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "enabled" => Some(Filter::Flag(self.enabled)),
            "tags" => Some(Filter::Tags(&self.tags)),
            _ => None,
        }
    }
}

/// The attributes of a domain that a request sets.
#[derive(Debug, Clone)]
pub(crate) struct DomainFields(pub(crate) CommonFields);

impl FromObject for DomainFields {
    const NOUN: &'static str = "domain";
    const FIELDS: &'static [Field] = &[NAME, ENABLED, DESCRIPTION, TAGS, OPTIONS];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(o: Object) -> Result<Self> {
        Ok(Self(o.into()))
    }
}
