//! Keystone's error bodies.

use axum::response::{IntoResponse as _, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use kernel::Error;
use rest::Asked;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

pub(crate) struct Keystone;

#[derive(Debug, Serialize, JsonSchema)]
struct KeystoneError<'a> {
    code: u16,
    message: &'a str,
    title: &'a str,
}

/// The body of every error of identity.
#[derive(Debug, Serialize, JsonSchema)]
struct KeystoneErrorBody<'a> {
    error: KeystoneError<'a>,
}

impl rest::Dialect for Keystone {
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response {
        let status = rest::status_of(&error.kind);
        let body = KeystoneErrorBody {
            error: KeystoneError {
                code: status.as_u16(),
                message: &error.message,
                title: status.canonical_reason().unwrap_or_default(),
            },
        };
        let mut response = (status, axum::Json(body)).into_response();
        let uri = format!("Keystone uri=\"{}/identity/v3\"", asked.base);
        if status == StatusCode::UNAUTHORIZED
            && let Ok(value) = HeaderValue::from_str(&uri)
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        rest::add_retry_after(&mut response, error);
        response
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<KeystoneErrorBody<'static>>()
    }
}
