//! How a service words its errors.

use axum::response::Response;
use kernel::Error;

/// Renders errors as the real service does; one per service.
pub trait Dialect: Send + Sync + 'static {
    /// The complete answer: status, headers, body. A 5xx never shows
    /// `error.context`.
    fn render(&self, error: &Error, request_id: &str) -> Response;
}
