//! Errors of native routes: `{"error": {"code", "title", "message"}}`.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use kernel::{Error, Kind};
use serde_json::json;

pub struct NativeDialect;

impl NativeDialect {
    pub fn respond(&self, error: &Error) -> Response {
        let status = rest::status_of(&error.kind);
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            json!({"error": {"code": status.as_u16(), "title": title, "message": error.message}});
        (status, Json(body)).into_response()
    }
}

impl rest::Dialect for NativeDialect {
    fn render(&self, error: &Error, request_id: &str) -> Response {
        if error.kind == Kind::Internal {
            tracing::error!(request_id, error = %error, "request failed");
        }
        self.respond(error)
    }
}
