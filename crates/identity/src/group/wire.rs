//! Bodies of groups.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Group;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A group as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupBody {
    id: String,
    name: String,
    domain_id: String,
    description: String,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { GroupBody = "group", "groups"; }

impl GroupBody {
    pub(crate) fn new(g: Group, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/groups/{}", g.id)),
            id: g.id.into(),
            name: g.name,
            domain_id: g.domain_id.into(),
            description: g.description,
            extra: g.extra.0,
        }
    }
}

impl Listed for GroupBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "domain_id" => Some(Filter::Text(&self.domain_id)),
            _ => None,
        }
    }
}

/// The attributes of a group that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct GroupFields {
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<String>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) extra: Map<String, Value>,
}

impl FromObject for GroupFields {
    const NOUN: &'static str = "group";
    const FIELDS: &'static [Field] = &[
        field("name", Holds::Name, 64),
        field("domain_id", Holds::Text, 64),
        field("description", Holds::Nullable, LONG),
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            name: o.text("name"),
            domain_id: o.text("domain_id"),
            description: o.nullable("description"),
            extra: o.extra(),
        })
    }
}
