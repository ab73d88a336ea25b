//! Bodies of projects, and the fields that they share with those of domains.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Project;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};
use crate::tags::Tags;

/// A project as Keystone shows it; a domain as a project.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProjectBody {
    id: String,
    name: String,
    domain_id: Option<String>,
    description: String,
    enabled: bool,
    parent_id: Option<String>,
    is_domain: bool,
    tags: Vec<String>,
    options: Map<String, Value>,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { ProjectBody = "project", "projects"; }

impl ProjectBody {
    pub(crate) fn new(p: Project, base: &str) -> Self {
        let parent = p.parent_id.map(String::from);
        let parent = parent.or_else(|| (!p.is_domain).then(|| p.domain_id.to_string()));
        Self {
            links: SelfLink::new(base, &format!("/projects/{}", p.id)),
            id: p.id.into(),
            name: p.name,
            domain_id: (!p.is_domain).then(|| p.domain_id.into()),
            description: p.description,
            enabled: p.enabled,
            parent_id: parent,
            is_domain: p.is_domain,
            tags: p.tags.0,
            options: p.options.0,
            extra: p.extra.0,
        }
    }
}

impl ProjectBody {
    /// Leaves an attribute out that Keystone does not know.
    pub(super) fn remove_extra(&mut self, name: &str) {
        self.extra.shift_remove(name);
    }
}

fn or_nothing(text: Option<&String>) -> Filter<'_> {
    text.map_or(Filter::Nothing, |text| Filter::Text(text))
}

impl Listed for ProjectBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "domain_id" => Some(or_nothing(self.domain_id.as_ref())),
            "parent_id" => Some(or_nothing(self.parent_id.as_ref())),
            "enabled" => Some(Filter::Flag(self.enabled)),
            "tags" => Some(Filter::Tags(&self.tags)),
            _ => None,
        }
    }
}

/// The attributes of projects and domains that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct CommonFields {
    pub(crate) name: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) options: Option<Map<String, Value>>,
    pub(crate) tags: Option<Tags>,
    pub(crate) extra: Map<String, Value>,
}

pub(crate) const NAME: Field = field("name", Holds::Name, 64);
pub(crate) const ENABLED: Field = field("enabled", Holds::Flag, 0);
pub(crate) const DESCRIPTION: Field = field("description", Holds::Nullable, LONG);
pub(crate) const TAGS: Field = field("tags", Holds::Any, 0);
pub(crate) const OPTIONS: Field = field("options", Holds::Options, 0);

impl CommonFields {
    /// # Errors
    /// `Invalid` for wrong tags.
    pub(crate) fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            tags: o.value("tags").map(Tags::of_body).transpose()?,
            name: o.text("name"),
            enabled: o.flag("enabled"),
            description: o.nullable("description"),
            options: o.map("options"),
            extra: o.extra(),
        })
    }
}

/// The attributes of a project that a request sets.
#[derive(Debug, Clone)]
pub(crate) struct ProjectFields {
    pub(crate) domain_id: Option<Option<String>>,
    pub(crate) parent_id: Option<Option<String>>,
    pub(crate) is_domain: Option<bool>,
    pub(crate) common: CommonFields,
}

impl FromObject for ProjectFields {
    const NOUN: &'static str = "project";
    const FIELDS: &'static [Field] = &[
        NAME,
        field("domain_id", Holds::Nullable, 64),
        field("parent_id", Holds::Nullable, 64),
        field("is_domain", Holds::Flag, 0),
        ENABLED,
        DESCRIPTION,
        TAGS,
        OPTIONS,
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            domain_id: o.nullable("domain_id"),
            parent_id: o.nullable("parent_id"),
            is_domain: o.flag("is_domain"),
            common: CommonFields::from_object(o)?,
        })
    }
}
