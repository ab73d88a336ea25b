//! Bodies of domains.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::envelope::{SelfLink, nouns};
use crate::errors::wrong;
use crate::fields::{Field, FromObject, Holds, Object, Unknown, field};
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
            tags: d.tags.0,
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
pub(crate) struct DomainFields {
    /// The id of a new domain, so that several installations can have the same one.
    pub(crate) explicit_id: Option<String>,
    pub(crate) common: CommonFields,
}

impl FromObject for DomainFields {
    const NOUN: &'static str = "domain";
    const FIELDS: &'static [Field] = &[
        NAME,
        ENABLED,
        DESCRIPTION,
        TAGS,
        OPTIONS,
        field("explicit_domain_id", Holds::Text, ID_LENGTH),
        // A domain is also shown as a project, with these values.
        field("domain_id", Holds::Null, 0),
        field("parent_id", Holds::Null, 0),
        field("is_domain", Holds::True, 0),
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        for name in ["domain_id", "parent_id", "is_domain"] {
            o.value(name);
        }
        let explicit_id = o.text("explicit_domain_id");
        if let Some(id) = explicit_id.as_ref().filter(|id| !is_id(id)) {
            let why = "Domain ID does not conform to required UUID format: 32 hexadecimal digits in lower case are expected.";
            return Err(wrong("explicit_domain_id", id, why));
        }
        Ok(Self {
            explicit_id,
            common: CommonFields::from_object(o)?,
        })
    }
}

/// The number of characters of a generated id.
const ID_LENGTH: usize = 32;

/// Whether a text has the form of generated ids.
fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
