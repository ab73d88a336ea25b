//! Errors of our own routes: `{"error": {"code", "title", "message"}}`.

use axum::response::{IntoResponse as _, Response};
use kernel::Error;
use rest::Asked;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

pub struct NativeDialect;

#[derive(Debug, Serialize, JsonSchema)]
struct NativeError<'a> {
    code: u16,
    title: &'a str,
    message: &'a str,
}

/// The body of every error of our own routes.
#[derive(Debug, Serialize, JsonSchema)]
struct NativeErrorBody<'a> {
    error: NativeError<'a>,
}

impl rest::Dialect for NativeDialect {
    fn render(&self, error: &Error, _: &Asked<'_>) -> Response {
        let status = rest::status_of(&error.kind);
        let body = NativeErrorBody {
            error: NativeError {
                code: status.as_u16(),
                title: status.canonical_reason().unwrap_or_default(),
                message: &error.message,
            },
        };
        let mut response = (status, axum::Json(body)).into_response();
        rest::add_retry_after(&mut response, error);
        response
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<NativeErrorBody<'static>>()
    }
}
