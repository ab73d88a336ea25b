//! Reading JSON bodies.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use hyper::body::Body as _;
use kernel::{Error, Kind, Result};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// Bodies of the OpenStack APIs are small; templates are the largest ones.
pub const LIMIT: usize = 2 * 1024 * 1024;

/// The longest rest of a refused body that is read, bytes.
const DISCARDED: usize = 8 * 1024 * 1024;

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

/// Receives the bytes of a body.
///
/// # Errors
/// `NotSupported` 413 for more than `limit` bytes, 408 if the body did not arrive
/// in time, `Invalid` if it breaks the rules of HTTP or ended early.
pub(crate) async fn receive(body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes> {
    let too_large = || {
        let text = format!("The body is larger than {limit} bytes; send a smaller one.");
        Error::new(Kind::NotSupported { status: 413 }, text)
    };
    // A client that sends `Expect` waits with the body until the server reads it, so a
    // body that is too large need not be sent at all.
    let announced = body.size_hint().lower();
    if headers.contains_key(EXPECT) && announced > limit as u64 {
        return Err(too_large());
    }
    let mut parts = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|e| not_received(&e))?;
        if bytes.len() + part.len() > limit {
            discard(parts).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

/// Reads the rest of a body that is refused. A connection that is closed with unread
/// bytes is reset, so that a client that sends all before it reads gets no answer.
async fn discard(mut rest: BodyDataStream) {
    let mut left = DISCARDED;
    while let Some(Ok(part)) = rest.next().await
        && part.len() <= left
    {
        left -= part.len();
    }
}

fn not_received(error: &axum::Error) -> Error {
    if is_timeout(error) {
        let text = "The body of the request did not arrive in time; send it again.";
        return Error::new(Kind::NotSupported { status: 408 }, text).context(error);
    }
    let text = "The body of the request is malformed or ended early; send it with the correct \
                Content-Length, or with correct chunks.";
    Error::invalid("body", text).context(error)
}

/// Whether a timeout of the connection is among the causes of an error.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let late = |e: &io::Error| e.kind() == io::ErrorKind::TimedOut;
    error.downcast_ref().is_some_and(late) || error.source().is_some_and(is_timeout)
}

/// Parses a JSON body. A missing media type and `application/octet-stream` are
/// accepted, because clients send them.
///
/// # Errors
/// `NotSupported` 415 for another media type, `Invalid` if it is not JSON or if
/// a text contains a control character that [`check_characters`] refuses.
pub fn json(bytes: &[u8], headers: &HeaderMap) -> Result<Value> {
    let media = headers
        .get(CONTENT_TYPE)
        .map_or(Cow::Borrowed(""), |v| String::from_utf8_lossy(v.as_bytes()));
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
    // A control character in a text is written as an escape; only DEL need not be.
    if bytes.iter().any(|byte| matches!(byte, b'\\' | b'\x7f')) {
        check_characters(&value, "body")?;
    }
    Ok(value)
}

/// Fields that contain a name, an id or an address, besides those that end with
/// one of [`NAME_ENDINGS`].
const NAMES: &[&str] = &[
    "id",
    "name",
    "uuid",
    "tag",
    "tags",
    "type",
    "region",
    "interface",
    "url",
    "path",
];

const NAME_ENDINGS: &[&str] = &["_id", "_ids", "_name", "_uuid"];

/// Rejects control characters. Names, ids and the names of fields have none,
/// because [`crate::query::check_text`] rejects all of them in URLs, so that
/// nothing with such a name could be found. Other texts have tabs and ends of
/// lines, as certificates and descriptions do; the other control characters could
/// change what a terminal shows, and PostgreSQL cannot store NUL.
fn check_characters(value: &Value, field: &str) -> Result<()> {
    match value {
        Value::String(text) if is_name(field) => check_name(text, field),
        Value::String(text) => {
            let other = |c: &char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
            text.chars().find(other).map_or(Ok(()), |character| {
                Err(refuse(
                    field,
                    character,
                    " Tabs and ends of lines are allowed.",
                ))
            })
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_characters(item, field)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            check_name(key, field)?;
            let replaced = (key == "value").then(|| replaced_field(fields)).flatten();
            check_characters(value, replaced.unwrap_or(key))
        }),
        _ => Ok(()),
    }
}

fn is_name(field: &str) -> bool {
    NAMES.contains(&field) || NAME_ENDINGS.iter().any(|ending| field.ends_with(ending))
}

fn check_name(text: &str, field: &str) -> Result<()> {
    let found = text.chars().find(char::is_ascii_control);
    found.map_or(Ok(()), |character| Err(refuse(field, character, "")))
}

/// The field to which an operation of a JSON patch applies.
fn replaced_field(operation: &Map<String, Value>) -> Option<&str> {
    let path = operation.get("path")?.as_str()?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

fn refuse(field: &str, character: char, hint: &str) -> Error {
    // A name that the client has chosen can be as long as the body.
    let field: String = field.chars().take(64).collect();
    let code = format!("U+{:04X}", u32::from(character));
    let character: &dyn Display = if character == '\0' { &"NUL" } else { &code };
    let text = format!("{field}: the character {character} is not allowed; remove it.{hint}");
    Error::invalid(field, text)
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
        let said = |field: &str| {
            Some(format!(
                "{field}: the character NUL is not allowed; remove it."
            ))
        };
        assert_eq!(refusal(r#"{"user": {"name": "a\u0000b"}}"#), said("name"));
        assert_eq!(refusal(r#"{"tags": ["x", "\u0000"]}"#), said("tags"));
        assert_eq!(refusal(r#"{"labels": {"\u0000": 1}}"#), said("labels"));
        // An escaped backslash before the digits.
        assert_eq!(refusal(r#"{"name": "\\u0000"}"#), None);
    }

    #[test]
    fn names_and_ids_have_no_control_characters() {
        for name in [
            "name",
            "id",
            "domain_id",
            "flavor_ids",
            "tags",
            "region",
            "url",
            "fixed_name",
        ] {
            for (text, character) in [
                ("\\u0001", "U+0001"),
                ("\\n", "U+000A"),
                ("\\t", "U+0009"),
                ("\x7f", "U+007F"),
            ] {
                let body = format!(r#"{{"user": {{"{name}": ["a{text}b"]}}}}"#);
                let want = format!("{name}: the character {character} is not allowed; remove it.");
                assert_eq!(refusal(&body), Some(want), "{body}");
            }
        }
        // The name of a field is a name.
        let want = "labels: the character U+000A is not allowed; remove it.".to_owned();
        assert_eq!(refusal(r#"{"labels": {"a\nb": "x"}}"#), Some(want));
    }

    #[test]
    fn other_texts_have_tabs_and_ends_of_lines() {
        for field in ["description", "csr", "password", "value"] {
            assert_eq!(
                refusal(&format!(r#"{{"{field}": "a\tb\r\nc\u0080"}}"#)),
                None
            );
            let want = format!(
                "{field}: the character U+001B is not allowed; remove it. Tabs and ends of lines are allowed."
            );
            assert_eq!(
                refusal(&format!(r#"{{"{field}": "\u001b[1m"}}"#)),
                Some(want)
            );
        }
    }

    #[test]
    fn a_patch_is_checked_as_the_field_that_it_replaces() {
        let patch = |path: &str, value: &str| {
            let body = format!(r#"[{{"op": "replace", "path": "{path}", "value": "{value}"}}]"#);
            refusal(&body).map(|text| text.split(':').next().unwrap().to_owned())
        };
        assert_eq!(patch("/name", "a\\nb"), Some("name".to_owned()));
        assert_eq!(patch("/labels/a\\nb", "x"), Some("path".to_owned()));
        assert_eq!(patch("/description", "a\\nb"), None);
        assert_eq!(
            patch("/description", "\\u0007"),
            Some("description".to_owned())
        );
    }

    #[test]
    fn the_text_of_a_refusal_is_short() {
        let body = format!(r#"{{"{}": "\u0001"}}"#, "x".repeat(100_000));
        assert!(refusal(&body).unwrap().len() < 200);
    }
}
