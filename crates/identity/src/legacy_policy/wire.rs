//! Bodies of policies.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::LegacyPolicy;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A policy as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PolicyBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    blob: String,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { PolicyBody = "policy", "policies"; }

impl PolicyBody {
    pub(super) fn new(p: LegacyPolicy, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/policies/{}", p.id)),
            id: p.id.into(),
            kind: p.kind,
            blob: p.blob,
            extra: p.extra.0,
        }
    }
}

impl Listed for PolicyBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        (name == "type").then_some(Filter::Text(&self.kind))
    }
}

/// The attributes of a policy that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct PolicyFields {
    pub(super) kind: Option<String>,
    pub(super) blob: Option<String>,
    pub(super) extra: Map<String, Value>,
}

impl FromObject for PolicyFields {
    const NOUN: &'static str = "policy";
    const FIELDS: &'static [Field] = &[
        field("blob", Holds::Text, LONG),
        field("type", Holds::Text, 255),
    ];
    const REQUIRED: &'static [&'static str] = &["blob", "type"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            kind: o.text("type"),
            blob: o.text("blob"),
            extra: o.extra(),
        })
    }
}
