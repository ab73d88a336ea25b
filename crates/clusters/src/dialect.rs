//! Magnum's error bodies: a list with one entry.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use kernel::{Error, Kind};
use serde_json::{Value, json};

/// Magnum's dialect.
pub struct Magnum;

impl rest::Dialect for Magnum {
    fn render(&self, error: &Error, request_id: &str) -> Response {
        render(error, request_id)
    }
}

/// The status of an error kind.
pub(crate) fn status(kind: &Kind) -> u16 {
    match kind {
        Kind::Timeout => 504,
        other => rest::status_of(other).as_u16(),
    }
}

/// The whole answer to an error.
pub(crate) fn render(error: &Error, request_id: &str) -> Response {
    let status = status(&error.kind);
    if status == 401 {
        return unauthenticated(request_id);
    }
    let code = match status {
        404..=406 if matches!(error.kind, Kind::NotSupported { .. }) => "",
        500.. => "server",
        _ => "client",
    };
    let title = match error.kind {
        Kind::NotSupported { status: 406 } => "Not Acceptable",
        _ => error.message.split('.').next().unwrap_or_default(),
    };
    let title = title.to_owned();
    let mut response = answer(
        status,
        &json!({ "errors": [{ "request_id": request_id, "code": code, "status": status,
            "title": title, "detail": error.message, "links": [] }] }),
        request_id,
    );
    rest::add_retry_after(&mut response, error);
    response
}

/// Routing errors: no code, no detail.
pub(crate) fn routing(status: u16, title: &str, request_id: &str) -> Response {
    answer(
        status,
        &json!({ "errors": [{ "request_id": request_id, "code": "", "status": status,
            "title": title, "detail": "", "links": [] }] }),
        request_id,
    )
}

/// In the real service 401 is answered by middleware and has its own format.
fn unauthenticated(request_id: &str) -> Response {
    answer(
        401,
        &json!({ "error": { "code": 401, "title": "Unauthorized",
            "message": "The request you have made requires authentication." } }),
        request_id,
    )
}

/// 406 for a version that is not served.
pub(crate) fn version_unsupported(description: &str, max: &str, min: &str, id: &str) -> Response {
    answer(
        406,
        &json!({ "errors": [{ "code": "magnum.microversion-unsupported",
            "title": "Requested microversion is unsupported", "description": description,
            "max_version": max, "min_version": min,
            "links": [{ "rel": "help",
                "href": "http://docs.openstack.org/api-guide/compute/microversions.html" }] }] }),
        id,
    )
}

/// A JSON answer with the request id.
pub(crate) fn answer(status: u16, body: &Value, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    with_id(response, request_id)
}

/// Adds the request id.
pub(crate) fn with_id(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-openstack-request-id"), value);
    }
    response
}
