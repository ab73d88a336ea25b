//! Answers with an object or a list in a member with the name of the resource.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The names of a resource in answers: singular and plural.
pub(crate) trait Noun {
    const ONE: &'static str;
    const MANY: &'static str;
}

/// `{"user": {…}}`.
pub(crate) struct One<T>(pub(crate) T);

impl<T: Serialize + Noun> Serialize for One<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(T::ONE, &self.0)?;
        map.end()
    }
}

impl<T: JsonSchema + Noun> JsonSchema for One<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("One{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let object = generator.subschema_for::<T>();
        json_schema!({"type": "object", "properties": {T::ONE: object}, "required": [T::ONE]})
    }
}

/// The links of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListLinks {
    pub(crate) next: Option<String>,
    #[serde(rename = "self")]
    pub(crate) own: String,
    pub(crate) previous: Option<String>,
}

/// `{"users": […], "links": {…}}`.
pub(crate) struct Many<T> {
    pub(crate) items: Vec<T>,
    pub(crate) truncated: bool,
    pub(crate) links: ListLinks,
}

impl<T: Serialize + Noun> Serialize for Many<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.truncated {
            map.serialize_entry("truncated", &true)?;
        }
        map.serialize_entry(T::MANY, &self.items)?;
        map.serialize_entry("links", &self.links)?;
        map.end()
    }
}

impl<T: JsonSchema + Noun> JsonSchema for Many<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Many{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        let links = generator.subschema_for::<ListLinks>();
        json_schema!({
            "type": "object",
            "properties": {
                T::MANY: {"type": "array", "items": item},
                "links": links,
                "truncated": {"type": "boolean"},
            },
            "required": [T::MANY, "links"],
        })
    }
}

/// `{"self": URL}`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct SelfLink {
    #[serde(rename = "self")]
    pub(crate) own: String,
}

impl SelfLink {
    /// `path` is relative to `/identity/v3`.
    pub(crate) fn new(base: &str, path: &str) -> Self {
        Self {
            own: format!("{base}/identity/v3{path}"),
        }
    }
}

/// Declares the nouns of resources.
macro_rules! nouns {
    ($($type:ty = $one:literal, $many:literal;)*) => {$(
        impl $crate::envelope::Noun for $type {
            const ONE: &'static str = $one;
            const MANY: &'static str = $many;
        }
    )*};
}
pub(crate) use nouns;
