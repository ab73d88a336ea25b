//! Error formats of services.

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use kernel::{Error, Kind};
use schemars::{Schema, SchemaGenerator};

use crate::RouteInfo;
use crate::version::{Negotiated, VersionError};

/// What an error answer needs of its request.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub request_id: &'a str,
    /// `scheme://host` for links.
    pub base: &'a str,
}

/// Renders errors like the real service; one per service.
pub trait Dialect: Send + Sync + 'static {
    /// Renders the complete answer: status, headers, body. A 5xx never shows
    /// `error.context`.
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response;

    /// The schema of the bodies of [`Dialect::render`].
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Renders the answer to an unknown path (404) or method (405), whose
    /// format differs from handler errors in some services. The caller adds
    /// `Allow`.
    fn routing(&self, status: StatusCode, asked: &Asked<'_>) -> Response {
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
        self.render(&Error::new(kind, text), asked)
    }

    /// The error for a query parameter that a route does not have.
    fn unknown_param(&self, name: &str) -> Error {
        Error::invalid(
            name,
            format!("The query parameter {name} is not supported here; leave it out."),
        )
    }

    /// Renders an invalid or unsupported version header.
    fn version_error(&self, error: &VersionError, asked: &Asked<'_>) -> Response {
        let text = format!("The header OpenStack-API-Version is not supported: {error:?}.");
        self.render(&Error::new(Kind::NotSupported { status: 406 }, text), asked)
    }

    /// The error for a route that the negotiated version does not have.
    fn not_in_version(&self, used: &Negotiated, _route: &RouteInfo) -> Error {
        Error::new(
            Kind::NotSupported { status: 404 },
            format!("Version {} does not have this resource.", used.version),
        )
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
