//! Magnum's error bodies: a list with one entry.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use kernel::{Error, Kind};
use rest::version::{Negotiated, VersionError};
use rest::{Asked, RouteInfo};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::errors::{bad_request, not_in_version, unknown_argument};
use crate::versions::{VERSIONS, supported_range};

/// Magnum's dialect.
pub struct Magnum;

impl rest::Dialect for Magnum {
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response {
        let status = status(&error.kind);
        if status == 401 {
            return unauthenticated(asked);
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
        let fault = Fault::new(asked, code, status, title, &error.message);
        let mut response = answer(status, &ErrorBody::One { errors: [fault] });
        rest::add_retry_after(&mut response, error);
        response
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<ErrorBody<'_>>()
    }

    /// Errors of routing have neither a code nor a detail.
    fn routing(&self, status: StatusCode, asked: &Asked<'_>) -> Response {
        let title = status.canonical_reason().unwrap_or_default();
        let fault = Fault::new(asked, "", status.as_u16(), title, "");
        answer(status.as_u16(), &ErrorBody::One { errors: [fault] })
    }

    fn unknown_param(&self, name: &str) -> Error {
        unknown_argument(name)
    }

    fn version_error(&self, error: &VersionError, asked: &Asked<'_>) -> Response {
        let range = supported_range();
        let generic = |text: &str| {
            let kind = Kind::NotSupported { status: 406 };
            self.render(&Error::new(kind, text), asked)
        };
        let text = match error {
            VersionError::Service => {
                return generic("Invalid service type for OpenStack-API-Version header");
            }
            VersionError::Malformed => {
                return generic("Invalid value for OpenStack-API-Version header");
            }
            VersionError::Minor(asked) => format!(
                "Version {asked} was requested but the minor version is not supported by this \
                 service. {range}"
            ),
            // The real service has no space after the first full stop either.
            VersionError::Major(asked) => format!(
                "Mutually exclusive versions requested. Version {asked} requested but not \
                 supported by this service.{range}"
            ),
        };
        version_unsupported(&text)
    }

    /// The real service answers differently for each resource.
    fn not_in_version(&self, used: &Negotiated, route: &RouteInfo) -> Error {
        match route.path.rsplit('/').next() {
            Some("upgrade") => bad_request(
                "upgrade",
                "Cluster upgrade is not supported in the provided microversion.",
            ),
            Some("resize") => not_in_version(used.version, "resize"),
            _ => not_in_version(used.version, "get_one"),
        }
    }
}

/// The status of an error kind.
pub(crate) fn status(kind: &Kind) -> u16 {
    match kind {
        Kind::Timeout => 504,
        other => rest::status_of(other).as_u16(),
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MagnumError")]
enum ErrorBody<'a> {
    One {
        errors: [Fault<'a>; 1],
    },
    Version {
        errors: [VersionFault<'a>; 1],
    },
    /// In the real service 401 is answered by middleware and has its own format.
    Token {
        error: TokenFault,
    },
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumFault")]
struct Fault<'a> {
    request_id: &'a str,
    /// `client`, `server`, or empty for errors of routing.
    code: &'static str,
    status: u16,
    title: &'a str,
    detail: &'a str,
    links: [HelpLink; 0],
}

impl<'a> Fault<'a> {
    fn new(
        asked: &Asked<'a>,
        code: &'static str,
        status: u16,
        title: &'a str,
        detail: &'a str,
    ) -> Self {
        Self {
            request_id: asked.request_id,
            code,
            status,
            title,
            detail,
            links: [],
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumVersionFault")]
struct VersionFault<'a> {
    code: &'static str,
    title: &'static str,
    description: &'a str,
    max_version: String,
    min_version: String,
    links: [HelpLink; 1],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumHelpLink")]
struct HelpLink {
    rel: &'static str,
    href: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumTokenFault")]
struct TokenFault {
    code: u16,
    title: &'static str,
    message: &'static str,
}

fn unauthenticated(asked: &Asked<'_>) -> Response {
    let error = TokenFault {
        code: 401,
        title: "Unauthorized",
        message: "The request you have made requires authentication.",
    };
    let mut response = answer(401, &ErrorBody::Token { error });
    let challenge = format!("Keystone uri=\"{}/identity/v3\"", asked.base);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// 406 for a version that is not served.
fn version_unsupported(description: &str) -> Response {
    let fault = VersionFault {
        code: "magnum.microversion-unsupported",
        title: "Requested microversion is unsupported",
        description,
        max_version: VERSIONS.max.to_string(),
        min_version: VERSIONS.min.to_string(),
        links: [HelpLink {
            rel: "help",
            href: "http://docs.openstack.org/api-guide/compute/microversions.html",
        }],
    };
    answer(406, &ErrorBody::Version { errors: [fault] })
}

fn answer(status: u16, body: &ErrorBody<'_>) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
