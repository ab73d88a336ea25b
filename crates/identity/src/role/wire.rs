//! Bodies of roles.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Role;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A role as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RoleBody {
    id: String,
    name: String,
    /// The only domain in which the role can be granted.
    domain_id: Option<String>,
    description: String,
    options: Map<String, Value>,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// The short form inside inferences.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RoleReference {
    id: String,
    name: String,
    links: SelfLink,
}

/// A role with the roles that it implies directly.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Inference {
    pub(crate) prior_role: RoleReference,
    pub(crate) implies: Vec<RoleReference>,
}

/// A role and one role that it implies directly.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OneInference {
    pub(crate) prior_role: RoleReference,
    pub(crate) implies: RoleReference,
}

/// The answer with all inferences.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Inferences {
    pub(crate) role_inferences: Vec<Inference>,
}

nouns! {
    RoleBody = "role", "roles";
    Inference = "role_inference", "role_inferences";
    OneInference = "role_inference", "role_inferences";
}

impl RoleBody {
    pub(crate) fn new(r: Role, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/roles/{}", r.id)),
            options: r.shown_options(),
            id: r.id.into(),
            name: r.name,
            domain_id: r.domain_id.map(Into::into),
            description: r.description,
            extra: r.extra.0,
        }
    }
}

impl RoleReference {
    pub(crate) fn new(r: &Role, base: &str) -> Self {
        Self {
            id: r.id.clone().into(),
            name: r.name.clone(),
            links: SelfLink::new(base, &format!("/roles/{}", r.id)),
        }
    }
}

impl Listed for RoleBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "domain_id" => {
                let domain = self.domain_id.as_deref();
                Some(domain.map_or(Filter::Nothing, Filter::Text))
            }
            _ => None,
        }
    }
}

/// The attributes of a role that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct RoleFields {
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<Option<String>>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) options: Option<Map<String, Value>>,
    pub(crate) extra: Map<String, Value>,
}

impl FromObject for RoleFields {
    const NOUN: &'static str = "role";
    const FIELDS: &'static [Field] = &[
        field("name", Holds::Name, 255),
        field("domain_id", Holds::Nullable, 64),
        field("description", Holds::Nullable, LONG),
        field("options", Holds::Options, 0),
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            name: o.text("name"),
            domain_id: o.nullable("domain_id"),
            description: o.nullable("description"),
            options: o.map("options"),
            extra: o.extra(),
        })
    }
}
