//! Links of objects.

use std::borrow::Cow;
use std::sync::Arc;

use rest::Call;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// Path below which Magnum is served.
pub(crate) const PREFIX: &str = "/container-infra";

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MagnumLink")]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) rel: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<&'static str>,
}

impl Link {
    pub(crate) fn new(href: String, rel: &'static str) -> Self {
        Self {
            href,
            rel,
            media_type: None,
        }
    }
}

/// `self` under the version, `bookmark` without it. They are written when they
/// are sent: a list has two for each of its objects.
#[derive(Debug)]
pub(crate) struct Links {
    base: Arc<str>,
    /// Of the object, below the version.
    path: String,
}

impl Links {
    pub(crate) fn new(base: &Arc<str>, path: String) -> Self {
        Self {
            base: base.clone(),
            path,
        }
    }
}

/// One of the links.
#[derive(Serialize)]
struct ObjectLink<'a> {
    href: Href<'a>,
    rel: &'static str,
}

struct Href<'a>(&'a Links, &'static str);

impl Serialize for Href<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(links, version) = self;
        serializer.collect_str(&format_args!("{}{version}/{}", links.base, links.path))
    }
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let link = |version, rel| ObjectLink {
            href: Href(self, version),
            rel,
        };
        [link("/v1", "self"), link("", "bookmark")].serialize(serializer)
    }
}

impl JsonSchema for Links {
    fn schema_name() -> Cow<'static, str> {
        <[Link; 2]>::schema_name()
    }

    fn inline_schema() -> bool {
        <[Link; 2]>::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <[Link; 2]>::json_schema(generator)
    }
}

/// The root of the service without a slash at its end, as
/// `http://HOST/container-infra`.
pub(crate) fn base<S, B>(call: &Call<S, B>) -> Arc<str> {
    format!("{}{PREFIX}", call.parts.base).into()
}
