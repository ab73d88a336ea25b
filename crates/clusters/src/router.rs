//! Routing of Magnum's API: one place that maps methods and paths to handlers.
//! The real service routes any path whose first segment is not `v1` as if it
//! were, and sends version headers only if a handler was reached; a match over
//! path segments expresses this more clearly than two route trees.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use kernel::{Error, Kind, Result};
use rest::version::{Negotiated, Negotiator, VersionError};
use rest::{Microversion, RequestId};
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::dialect;
use crate::{ClustersDeps, certificate, cluster, discovery, nodegroup, service, template};

/// Magnum's versions; the first service name is used for clients that send
/// none.
pub(crate) const VERSIONS: Negotiator = Negotiator {
    services: &[
        "container-infrastructure-management",
        "container-infrastructure",
        "container-infra",
    ],
    min: Microversion::new(1, 1),
    max: Microversion::new(1, 14),
};
/// Node groups exist from here on.
const NODEGROUPS: u16 = 9;

/// The routes of the service, for any prefix.
pub(crate) fn routes(deps: Arc<ClustersDeps>) -> Router {
    Router::new().fallback(move |request: Request| serve(deps, request))
}

async fn serve(d: Arc<ClustersDeps>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id = RequestId::of(&parts.extensions);
    let path = parts.uri.path().to_owned();
    let base = base(&parts.headers, parts.extensions.get::<OriginalUri>(), &path);
    let segments = segments(&path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = parts.method.clone();
    if let Some(found) = discovery::document(&segments, &base) {
        if method != Method::GET && method != Method::HEAD {
            return not_allowed("GET", &id);
        }
        let answer = dialect::answer(200, &found, &id);
        return if segments.is_empty() {
            answer
        } else {
            versioned(answer, &default_version())
        };
    }
    let token = parts
        .headers
        .get("x-auth-token")
        .and_then(|v| v.to_str().ok());
    let ctx = match token {
        Some(token) => d.auth.authenticate(token, &id).await,
        None => Err(Error::unauthenticated()),
    };
    let ctx = match ctx {
        Ok(ctx) => ctx,
        Err(e) => return challenge(render(&e, &id), &parts.headers),
    };
    let used = match VERSIONS.negotiate(&parts.headers) {
        Ok(used) => used,
        Err(e) => return version_error(&e, &id),
    };
    let v1 = match segments.split_first() {
        Some((&"v1", rest)) => rest,
        _ => &segments,
    };
    let Some(route) = Route::of(v1) else {
        return dialect::routing(404, "Not Found", &id);
    };
    if !route.methods().contains(&method.as_str()) {
        return not_allowed(&route.methods().join(", "), &id);
    }
    let call = async {
        rest::query::check_text(&parts.uri)?;
        Ok(Call {
            ctx,
            minor: u16::try_from(used.version.minor).unwrap_or(u16::MAX),
            query: rest::query::pairs(parts.uri.query()),
            body: read(body, &parts.headers, &method).await?,
            base,
        })
    };
    let answered = match call.await {
        Ok(call) => route.run(&d, &method, call).await,
        Err(e) => Err(e),
    };
    let response = match answered {
        Ok(answer) => write(answer, &id),
        Err(e) => render(&e, &id),
    };
    versioned(response, &used)
}

/// A parsed path.
enum Route<'a> {
    Templates,
    TemplatesDetail,
    Template(&'a str),
    Clusters,
    ClustersDetail,
    Cluster(&'a str),
    Resize(&'a str),
    Upgrade(&'a str),
    Nodegroups(&'a str),
    Nodegroup(&'a str, &'a str),
    Certificates,
    Certificate(&'a str),
    Services,
    Stats,
    Quotas,
    Quota(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn of(segments: &[&'a str]) -> Option<Self> {
        Some(match segments {
            ["clustertemplates"] => Self::Templates,
            ["clustertemplates", "detail"] => Self::TemplatesDetail,
            ["clustertemplates", id] => Self::Template(id),
            ["clusters"] => Self::Clusters,
            ["clusters", "detail"] => Self::ClustersDetail,
            ["clusters", id] => Self::Cluster(id),
            ["clusters", id, "actions", "resize"] => Self::Resize(id),
            ["clusters", id, "actions", "upgrade"] => Self::Upgrade(id),
            ["clusters", id, "nodegroups"] => Self::Nodegroups(id),
            ["clusters", id, "nodegroups", ng] => Self::Nodegroup(id, ng),
            ["certificates"] => Self::Certificates,
            ["certificates", id] => Self::Certificate(id),
            ["mservices"] => Self::Services,
            ["stats"] => Self::Stats,
            ["quotas"] => Self::Quotas,
            ["quotas", project, resource] => Self::Quota(project, resource),
            _ => return None,
        })
    }

    fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Templates | Self::Clusters => &["GET", "POST"],
            Self::Template(_) | Self::Cluster(_) => &["DELETE", "GET", "PATCH"],
            Self::Resize(_) | Self::Upgrade(_) | Self::Certificates => &["POST"],
            Self::Certificate(_) => &["GET", "PATCH"],
            Self::TemplatesDetail
            | Self::ClustersDetail
            | Self::Nodegroups(_)
            | Self::Nodegroup(..)
            | Self::Services
            | Self::Stats
            | Self::Quotas
            | Self::Quota(..) => &["GET"],
        }
    }

    async fn run(&self, d: &ClustersDeps, method: &Method, call: Call) -> Result<Answer> {
        let (get, post) = (method == Method::GET, method == Method::POST);
        let patch = method == Method::PATCH;
        match self {
            Self::Templates if post => template::http::create(d, call).await,
            Self::Templates => template::http::list(d, &call, "get_all").await,
            Self::TemplatesDetail => template::http::list(d, &call, "detail").await,
            Self::Template(id) if get => template::http::show(d, &call, id).await,
            Self::Template(id) if patch => template::http::update(d, call, id).await,
            Self::Template(id) => template::http::delete(d, &call, id).await,
            Self::Clusters if post => cluster::http::create(d, call).await,
            Self::Clusters => cluster::http::list(d, &call, "get_all").await,
            Self::ClustersDetail => cluster::http::list(d, &call, "detail").await,
            Self::Cluster(id) if get => cluster::http::show(d, &call, id).await,
            Self::Cluster(id) if patch => cluster::http::update(d, call, id).await,
            Self::Cluster(id) => cluster::http::delete(d, &call, id).await,
            Self::Resize(id) => cluster::http::resize(d, call, id).await,
            Self::Upgrade(id) => cluster::http::upgrade(d, call, id).await,
            Self::Nodegroups(_) | Self::Nodegroup(..) if call.minor < NODEGROUPS => {
                Err(crate::errors::not_in_version((1, call.minor), "get_one"))
            }
            Self::Nodegroups(id) => nodegroup::http::list(d, &call, id).await,
            Self::Nodegroup(id, ng) => nodegroup::http::show(d, &call, id, ng).await,
            Self::Certificates => certificate::http::sign(d, call).await,
            Self::Certificate(id) if get => certificate::http::show(d, &call, id).await,
            Self::Certificate(id) => certificate::http::rotate(d, &call, id).await,
            Self::Services => service::services(d, &call),
            Self::Stats => service::stats(d, &call).await,
            Self::Quotas => service::quotas(d, &call),
            Self::Quota(project, resource) => service::quota(d, &call, project, resource),
        }
    }
}

/// Path segments, decoded; empty ones at the end are dropped.
fn segments(path: &str) -> Vec<String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Vec::new();
    }
    let path = path.strip_suffix(".json").unwrap_or(path);
    path.split('/').map(rest::query::decode_segment).collect()
}

/// Scheme, host and the prefix under which the service is mounted.
fn base(headers: &HeaderMap, original: Option<&OriginalUri>, path: &str) -> String {
    let host = rest::link::base(headers, None);
    let full = original.map_or(path, |o| o.path());
    let mount = full
        .trim_end_matches('/')
        .strip_suffix(path.trim_end_matches('/'))
        .unwrap_or_default();
    format!("{host}{}", mount.trim_end_matches('/'))
}

async fn read(body: Body, headers: &HeaderMap, method: &Method) -> Result<Option<Value>> {
    if method == Method::GET || method == Method::DELETE {
        return Ok(None);
    }
    let bytes = rest::body::bytes(body, rest::body::LIMIT).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    rest::body::json(&bytes, headers).map(Some)
}

fn write(answer: Answer, id: &str) -> Response {
    let mut response = match &answer.body {
        Some(body) => dialect::answer(answer.status, body, id),
        None => {
            let mut empty = dialect::with_id(Response::new(Body::empty()), id);
            *empty.status_mut() =
                axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
            empty
        }
    };
    if let Some(location) = answer.location
        && let Ok(value) = HeaderValue::from_str(&location)
    {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Writes one log line for internal errors, then renders the body without the
/// context.
pub(crate) fn render(e: &Error, id: &str) -> Response {
    match e.kind {
        Kind::Internal => tracing::error!(request_id = id, error = %e, "request failed"),
        Kind::Unavailable { .. } | Kind::Timeout | Kind::OutcomeUnknown | Kind::Aborted => {
            tracing::warn!(request_id = id, error = %e, "request failed");
        }
        _ => {}
    }
    dialect::render(e, id)
}

pub(crate) fn challenge(mut response: Response, headers: &HeaderMap) -> Response {
    let uri = format!(
        "Keystone uri=\"{}/identity/v3\"",
        rest::link::base(headers, None)
    );
    if response.status() == axum::http::StatusCode::UNAUTHORIZED
        && let Ok(value) = HeaderValue::from_str(&uri)
    {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn not_allowed(allow: &str, id: &str) -> Response {
    let mut response = dialect::routing(405, "Method Not Allowed", id);
    if let Ok(value) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn default_version() -> Negotiated {
    Negotiated {
        version: VERSIONS.min,
        service: "container-infrastructure-management".into(),
    }
}

fn versioned(mut response: Response, used: &Negotiated) -> Response {
    VERSIONS.answer(used, response.headers_mut());
    response
}

fn version_error(e: &VersionError, id: &str) -> Response {
    let (min, max) = (VERSIONS.min, VERSIONS.max);
    let word = "container-infrastructure-management";
    let range = format!("The supported version range is: [{word} {min}, {word} {max}].");
    let generic = |text: &str| {
        let kind = Kind::NotSupported { status: 406 };
        dialect::render(&Error::new(kind, text), id)
    };
    let text = match e {
        VersionError::Service => {
            return generic("Invalid service type for OpenStack-API-Version header");
        }
        VersionError::Malformed => {
            return generic("Invalid value for OpenStack-API-Version header");
        }
        VersionError::Minor(asked) => format!(
            "Version {asked} was requested but the minor version is not supported by this service. {range}"
        ),
        // The real service has no space after the first full stop either.
        VersionError::Major(asked) => format!(
            "Mutually exclusive versions requested. Version {asked} requested but not supported by this service.{range}"
        ),
    };
    dialect::version_unsupported(&text, &max.to_string(), &min.to_string(), id)
}
