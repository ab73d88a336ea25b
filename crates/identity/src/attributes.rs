//! A column with a JSON object; null is the empty object, because rows of older
//! releases have no value.

use db::{Column, Row, Value};
use kernel::{Error, Result};
use serde_json::Map;

/// Options, or attributes that Keystone does not know.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attributes(pub(crate) Map<String, serde_json::Value>);

impl Column for Attributes {
    fn read(row: &Row, name: &str) -> Result<Self> {
        let Some(text) = row.opt_text(name)? else {
            return Ok(Self::default());
        };
        let map = serde_json::from_str(&text)
            .map_err(|e| Error::internal(e).context(format!("column {name}")))?;
        Ok(Self(map))
    }

    fn value(&self) -> Result<Value> {
        if self.0.is_empty() {
            return Ok(None::<String>.into());
        }
        Ok(serde_json::to_string(&self.0)?.into())
    }
}

/// Maximum size of those attributes of an object that Keystone does not know, bytes.
const EXTRA_BYTES: usize = 65_535;

/// The same for objects of which many are read at once, or for each token.
const SMALL_EXTRA_BYTES: usize = 1024;

/// Adds attributes to stored ones; null is stored as null, as in Keystone.
///
/// # Errors
/// `Invalid` if they become too large.
pub(crate) fn merge_extra(
    stored: &mut Map<String, serde_json::Value>,
    given: Map<String, serde_json::Value>,
) -> Result<()> {
    merge_within(EXTRA_BYTES, stored, given)
}

/// As [`merge_extra`], for objects that are read often.
///
/// # Errors
/// `Invalid` if they become too large.
pub(crate) fn merge_small_extra(
    stored: &mut Map<String, serde_json::Value>,
    given: Map<String, serde_json::Value>,
) -> Result<()> {
    merge_within(SMALL_EXTRA_BYTES, stored, given)
}

fn merge_within(
    limit: usize,
    stored: &mut Map<String, serde_json::Value>,
    given: Map<String, serde_json::Value>,
) -> Result<()> {
    let first = given.keys().next().cloned();
    stored.extend(given);
    let bytes: usize = stored
        .iter()
        .map(|(name, value)| name.len() + value.to_string().len())
        .sum();
    match first {
        Some(first) if bytes > limit => {
            let why = format!(
                "additional attributes may have at most {limit} bytes together; they have {bytes}."
            );
            Err(crate::errors::wrong(&first, "***", &why))
        }
        _ => Ok(()),
    }
}
