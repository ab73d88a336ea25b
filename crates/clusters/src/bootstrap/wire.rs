//! Bodies and errors of the bootstrap protocols.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use kernel::{Error, Result};
use nodewire::Problem;
use nodewire::bounds::Message;
use rest::{Answer as _, Asked, Dialect, Json, NoContent, Raw, RequestBody};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::dialect;

/// A body of the protocol, whose form `nodewire` describes.
pub(super) struct Wire<T>(pub(super) T);

fn object() -> Schema {
    json_schema!({"type": "object"})
}

impl<T: Message> RequestBody for Wire<T> {
    const LIMIT: Option<usize> = Some(T::MAX_BYTES);

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(object())
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let body = body.unwrap_or_default();
        checked(serde_json::from_value(body))
    }

    fn parse(bytes: &[u8], _: &HeaderMap) -> Result<Self> {
        checked(serde_json::from_slice(bytes))
    }
}

/// A message whose fields are within their bounds.
fn checked<T: Message>(read: serde_json::Result<T>) -> Result<Wire<T>> {
    let message = read.map_err(refuse)?;
    message
        .check()
        .map_err(|e| Error::invalid(e.field.clone(), e.to_string()))?;
    Ok(Wire(message))
}

fn refuse(why: serde_json::Error) -> Error {
    Error::invalid("body", format!("body: {why}"))
}

impl<T: Serialize> Serialize for Wire<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T> JsonSchema for Wire<T> {
    fn schema_name() -> Cow<'static, str> {
        "BootstrapMessage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        object()
    }
}

/// 200 with a body, or 204.
pub(super) fn some_or_no_content<T: Serialize>(found: Option<T>) -> Result<Raw> {
    let response = match found {
        Some(body) => Json(Wire(body)).write(),
        None => NoContent.write(),
    };
    response.map(Raw)
}

/// The dialect of agents: errors are [`Problem`]s.
pub(super) struct Agents;

impl Dialect for Agents {
    fn render(&self, error: &Error, _: &Asked<'_>) -> Response {
        let body = Problem {
            error: error.message.clone(),
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        let status = StatusCode::from_u16(dialect::status(&error.kind));
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        rest::add_retry_after(&mut response, error);
        response
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {"error": {"type": "string"}},
            "required": ["error"],
        })
    }
}
