//! Errors of our own routes: `{"error": {"code", "title", "message"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use kernel::{Error, Kind};
use serde_json::json;

pub struct Own;

impl Own {
    pub fn respond(&self, error: &Error) -> Response {
        let status = match &error.kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict | Kind::AlreadyExists => StatusCode::CONFLICT,
            Kind::Invalid { .. } | Kind::Precondition => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden | Kind::QuotaExceeded { .. } => StatusCode::FORBIDDEN,
            Kind::NotSupported { status } => {
                StatusCode::from_u16(*status).unwrap_or(StatusCode::NOT_ACCEPTABLE)
            }
            Kind::Unavailable { .. } | Kind::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            json!({"error": {"code": status.as_u16(), "title": title, "message": error.message}});
        (status, Json(body)).into_response()
    }
}

impl rest::Dialect for Own {
    fn render(&self, error: &Error, request_id: &str) -> Response {
        if error.kind == Kind::Internal {
            tracing::error!(request_id, error = %error, "request failed");
        }
        self.respond(error)
    }
}
