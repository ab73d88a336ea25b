//! Reading JSON bodies.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use kernel::{Error, Kind, Result};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// Bodies of the OpenStack APIs are small; templates are the largest ones.
pub const LIMIT: usize = 2 * 1024 * 1024;

/// The type of a request body.
pub trait RequestBody: Sized {
    /// Whether the route reads a body at all.
    const EXPECTED: bool = true;

    /// The longest body, bytes; `None`: that of the service.
    const LIMIT: Option<usize> = None;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// Reads the parsed body; `None` if the request has none.
    ///
    /// # Errors
    /// `Invalid`, with the message of the real service.
    fn read(body: Option<Value>) -> Result<Self>;

    /// Reads the bytes of the body. A type that is not written by users may
    /// read them in another way than [`json`] does.
    ///
    /// # Errors
    /// As [`json`] and [`RequestBody::read`].
    fn parse(bytes: &[u8], headers: &HeaderMap) -> Result<Self> {
        let value = if bytes.is_empty() {
            None
        } else {
            Some(json(bytes, headers)?)
        };
        Self::read(value)
    }
}

impl RequestBody for () {
    const EXPECTED: bool = false;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn read(_: Option<Value>) -> Result<Self> {
        Ok(())
    }
}

/// Parses a JSON body. A missing media type and `application/octet-stream` are
/// accepted, because clients send them.
///
/// # Errors
/// `NotSupported` 415 for another media type, `Invalid` if it is not JSON or if
/// a text contains the character NUL, which PostgreSQL cannot store.
pub fn json(bytes: &[u8], headers: &HeaderMap) -> Result<Value> {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let known = essence.is_empty()
        || essence == "application/json"
        || essence == "application/octet-stream"
        || essence.ends_with("+json");
    if !known {
        return Err(Error::new(
            Kind::NotSupported { status: 415 },
            format!("Unknown mimetype: {essence}"),
        ));
    }
    let value = serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid("body", "Request is not in valid JSON format").context(e))?;
    // JSON can write the character only in this way.
    let escaped = bytes.windows(NUL.len()).any(|part| part == NUL);
    if escaped && let Some(field) = field_with_nul(&value, "body") {
        return Err(Error::invalid(
            &field,
            format!("{field}: the character NUL is not allowed."),
        ));
    }
    Ok(value)
}

const NUL: &[u8] = b"\\u0000";

/// The name of the innermost field whose text, or whose name, has a NUL.
fn field_with_nul(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| name.to_owned()),
        Value::Array(items) => items.iter().find_map(|item| field_with_nul(item, name)),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            if key.contains('\0') {
                return Some(name.to_owned());
            }
            field_with_nul(value, key)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<String> {
        json(text.as_bytes(), &HeaderMap::new())
            .err()
            .map(|e| e.message)
    }

    #[test]
    fn the_field_with_a_nul_is_named() {
        let said = |field: &str| Some(format!("{field}: the character NUL is not allowed."));
        assert_eq!(refusal(r#"{"user": {"name": "a\u0000b"}}"#), said("name"));
        assert_eq!(refusal(r#"{"tags": ["x", "\u0000"]}"#), said("tags"));
        assert_eq!(refusal(r#"{"labels": {"\u0000": 1}}"#), said("labels"));
        // An escaped backslash before the digits.
        assert_eq!(refusal(r#"{"name": "\\u0000"}"#), None);
        assert_eq!(refusal(r#"{"name": "a\nb"}"#), None);
    }
}
