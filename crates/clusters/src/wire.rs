//! Values of bodies that all resources have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use db::{Column, Row, Value};
use kernel::{Error, Result, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A time, shown as `2026-11-21T14:22:26+00:00`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.iso_offset())
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// An object as it is stored. Lists show it without parsing it.
#[derive(Debug, Clone)]
pub(crate) struct StoredObject(Box<RawValue>);

impl StoredObject {
    /// The JSON.
    pub(crate) fn as_json(&self) -> &str {
        self.0.get()
    }

    /// The object as labels.
    ///
    /// # Errors
    /// `Internal` if it has other values than texts.
    pub(crate) fn labels(&self) -> Result<BTreeMap<String, String>> {
        Ok(serde_json::from_str(self.0.get())?)
    }
}

impl Column for StoredObject {
    fn read(row: &Row, name: &str) -> Result<Self> {
        let raw = RawValue::from_string(row.text(name)?);
        let raw = raw.map_err(|e| Error::internal(e).context(format!("column {name}")))?;
        Ok(Self(raw))
    }

    fn value(&self) -> Result<Value> {
        Ok(self.as_json().into())
    }
}

impl Serialize for StoredObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for StoredObject {
    fn schema_name() -> Cow<'static, str> {
        "StoredObject".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// The answer to an accepted operation on a cluster.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AcceptedCluster")]
pub(crate) struct AcceptedBody {
    /// The cluster.
    pub(crate) uuid: String,
}
