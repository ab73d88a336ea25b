//! Error formats of services.

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use kernel::{Error, Kind};

/// Renders errors like the real service; one per service.
pub trait Dialect: Send + Sync + 'static {
    /// Renders the complete answer: status, headers, body. A 5xx never shows
    /// `error.context`.
    fn render(&self, error: &Error, request_id: &str) -> Response;

    /// Renders the answer to an unknown path (404) or method (405), whose
    /// format differs from handler errors in some services. The router adds
    /// `Allow`.
    fn routing(&self, status: StatusCode, request_id: &str) -> Response {
        let kind = if status == StatusCode::NOT_FOUND {
            Kind::NotFound
        } else {
            Kind::NotSupported {
                status: status.as_u16(),
            }
        };
        let text = match status {
            StatusCode::NOT_FOUND => "The resource could not be found.",
            StatusCode::METHOD_NOT_ALLOWED => "The method is not allowed for this resource.",
            _ => status.canonical_reason().unwrap_or_default(),
        };
        self.render(&Error::new(kind, text), request_id)
    }
}

/// Adds `Retry-After` where an error says when to try again.
pub fn add_retry_after(response: &mut Response, error: &Error) {
    if let Kind::Unavailable { retry_after } = error.kind {
        let value = HeaderValue::from(retry_after);
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}

/// The default status of an error kind; a dialect handles only the differences
/// of its service.
#[must_use]
pub fn status_of(kind: &Kind) -> StatusCode {
    match kind {
        Kind::Invalid { .. } | Kind::Precondition => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden | Kind::QuotaExceeded { .. } => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict | Kind::AlreadyExists => StatusCode::CONFLICT,
        Kind::NotSupported { status } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST)
        }
        Kind::Unavailable { .. } | Kind::Timeout | Kind::OutcomeUnknown | Kind::Aborted => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
