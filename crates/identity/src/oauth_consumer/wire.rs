//! Bodies of consumers.

use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Consumer;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A consumer as Keystone shows it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConsumerBody {
    id: String,
    description: Option<String>,
    links: SelfLink,
    /// Shown once, by the answer to the creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { ConsumerBody = "consumer", "consumers"; }

impl ConsumerBody {
    pub(super) fn new(c: Consumer, base: &str) -> Self {
        let path = format!("/OS-OAUTH1/consumers/{}", c.id);
        Self {
            links: SelfLink::new(base, &path),
            id: c.id.into(),
            description: c.description,
            secret: None,
            extra: c.extra.0,
        }
    }
}

impl Listed for ConsumerBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, _: &str) -> Option<Filter<'_>> {
        None
    }
}

/// The attributes of a consumer that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerFields {
    pub(super) description: Option<Option<String>>,
    pub(super) extra: Map<String, Value>,
}

impl FromObject for ConsumerFields {
    const NOUN: &'static str = "consumer";
    const FIELDS: &'static [Field] = &[field("description", Holds::Nullable, LONG)];
    const REQUIRED: &'static [&'static str] = &[];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        if o.value("secret").is_some() {
            let text = "The secret of a consumer is generated and cannot be set.";
            return Err(Error::invalid("secret", text));
        }
        Ok(Self {
            description: o.nullable("description"),
            extra: o.extra(),
        })
    }
}
