//! Keystone's error bodies.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kernel::Error;
use serde_json::json;

pub(crate) struct Keystone;

impl rest::Dialect for Keystone {
    fn render(&self, error: &Error, request_id: &str) -> Response {
        let status = rest::status_of(&error.kind);
        if status.is_server_error() {
            tracing::error!(request_id, error = %error, "identity request failed");
        }
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            json!({"error": {"code": status.as_u16(), "message": error.message, "title": title}});
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                "www-authenticate",
                HeaderValue::from_static("Keystone uri=\"/identity/v3\""),
            );
        }
        rest::add_retry_after(&mut response, error);
        response
    }
}
