//! From a request to its route and back: authentication, microversion, query,
//! body, handler, error rendering.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::header::{ALLOW, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use kernel::{Ctx, Error, Kind, Result};

use crate::dialect::Asked;
use crate::service::{Endpoint, Resource, Service};
use crate::version::Negotiated;
use crate::{Access, Incoming, auth, body, query};

/// A caller who may use a route, and the version that the answer has.
struct Admitted {
    caller: Option<Ctx>,
    version: Option<Negotiated>,
}

/// The place in the route table that a request names.
struct Place<'a> {
    /// The path in the route table.
    path: Cow<'a, str>,
    resource: Option<&'a Resource>,
    endpoint: Option<&'a Endpoint>,
    params: Vec<(String, String)>,
}

impl Service {
    /// The path below the prefix, if the path belongs to this service.
    pub(crate) fn own_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.settings.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Answers a request whose path, below the prefix, is `path`.
    pub(crate) async fn serve(&self, path: &str, request: Request, asked: &Asked<'_>) -> Response {
        let started = Instant::now();
        if let Err(e) = query::check_text(request.uri()) {
            return self.render(&e, asked);
        }
        let place = self.place(path, &request);
        let (parts, body) = request.into_parts();
        let admitted = match self.admit(&place, &parts, asked).await {
            Ok(admitted) => admitted,
            Err(response) => return *response,
        };
        let Some(endpoint) = place.endpoint else {
            return self.no_endpoint(&place, asked);
        };
        let version = admitted.version.clone();
        let answered = self
            .run(endpoint, place.params, admitted, parts, body, asked)
            .await;
        let mut response = answered.unwrap_or_else(|e| self.render(&e, asked));
        if let (Some(negotiator), Some(version)) = (self.settings.versions, &version)
            && endpoint.info.versioned
        {
            negotiator.answer(version, response.headers_mut());
        }
        if let Some(vary) = self.settings.vary {
            let value = HeaderValue::from_static(vary);
            response.headers_mut().entry(VARY).or_insert(value);
        }
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        endpoint.count(response.status().as_u16(), micros);
        response
    }

    fn place<'a>(&'a self, path: &'a str, request: &Request) -> Place<'a> {
        let path = match (self.settings.normalize)(path) {
            path if path.is_empty() => Cow::Borrowed("/"),
            path => path,
        };
        let Ok(found) = self.paths.at(&path) else {
            return Place {
                path,
                resource: None,
                endpoint: None,
                params: Vec::new(),
            };
        };
        let resource = &self.resources[*found.value];
        let params = found.params.iter();
        let params = params
            .map(|(name, value)| (name.to_owned(), query::decode_segment(value)))
            .collect();
        Place {
            path,
            resource: Some(resource),
            endpoint: resource.endpoint(request.method(), self.settings.head),
            params,
        }
    }

    /// Authenticates the caller and negotiates the version.
    async fn admit(
        &self,
        place: &Place<'_>,
        parts: &Parts,
        asked: &Asked<'_>,
    ) -> Result<Admitted, Box<Response>> {
        let settings = &self.settings;
        let access = place.endpoint.map(|e| e.info.access);
        let needs_token = match access {
            Some(Access::AnyToken(_) | Access::Rule(_)) => true,
            Some(Access::Public(_) | Access::Own(_)) => false,
            // A public path with another method needs no token either.
            None => settings.token_before_path && !place.resource.is_some_and(Resource::is_public),
        };
        let mut caller = None;
        if needs_token && let Some(authenticator) = &settings.authenticator {
            let request = (&parts.method, &parts.headers);
            let found = auth::caller(authenticator.as_ref(), request, asked.request_id);
            let found = found.await.and_then(|ctx| {
                self.check_access_rules(&ctx, place, &parts.method)?;
                Ok(ctx)
            });
            match found {
                Ok(ctx) => caller = Some(ctx),
                Err(e) => return Err(Box::new(self.render(&e, asked))),
            }
        }
        // Version documents are for clients that do not know the versions yet.
        let version = match settings.versions {
            Some(negotiator) if matches!(access, Some(Access::Public(_))) => {
                Some(negotiator.default_version())
            }
            Some(negotiator) => Some(
                negotiator
                    .negotiate(&parts.headers)
                    .map_err(|e| Box::new(settings.dialect.version_error(&e, asked)))?,
            ),
            None => None,
        };
        Ok(Admitted { caller, version })
    }

    /// Refuses a request for which the token of the caller may not be used, as
    /// keystonemiddleware does. A rule has a path with the prefix of the service, which
    /// keystonemiddleware expects behind a web server, or without it.
    fn check_access_rules(&self, ctx: &Ctx, place: &Place<'_>, method: &Method) -> Result<()> {
        let Some(rules) = &ctx.access_rules else {
            return Ok(());
        };
        if place.endpoint.is_some_and(|e| e.info.without_access_rules) {
            return Ok(());
        }
        let whole = format!("{}{}", self.settings.prefix, place.path);
        let permitted = self.settings.service_type.is_some_and(|service| {
            let permits = |path: &str| {
                rules
                    .iter()
                    .any(|r| r.allows(service, method.as_str(), path))
            };
            permits(&place.path) || permits(&whole)
        });
        if permitted {
            return Ok(());
        }
        Err(Error::unauthenticated().context("the access rules of the token do not permit it"))
    }

    fn no_endpoint(&self, place: &Place<'_>, asked: &Asked<'_>) -> Response {
        let dialect = &self.settings.dialect;
        let Some(resource) = place.resource else {
            return dialect.routing(StatusCode::NOT_FOUND, asked);
        };
        let mut response = dialect.routing(StatusCode::METHOD_NOT_ALLOWED, asked);
        if let Ok(value) = HeaderValue::from_str(&resource.allow(self.settings.head)) {
            response.headers_mut().insert(ALLOW, value);
        }
        response
    }

    async fn run(
        &self,
        endpoint: &Endpoint,
        params: Vec<(String, String)>,
        admitted: Admitted,
        parts: Parts,
        body: Body,
        asked: &Asked<'_>,
    ) -> Result<Response> {
        let (info, dialect) = (&endpoint.info, &self.settings.dialect);
        if let (Some(since), Some(used)) = (info.since, &admitted.version)
            && used.version < since
        {
            return Err(dialect.not_in_version(used, info));
        }
        let query = query::pairs(parts.uri.query());
        if let Some(name) = info.unknown_param(&query) {
            return Err(dialect.unknown_param(name));
        }
        let bytes = if info.has_body {
            let limit = info.body_limit.unwrap_or(self.settings.body_limit);
            body::receive(body, &parts.headers, limit).await?
        } else {
            bytes::Bytes::new()
        };
        let granted = admitted.caller.as_ref().map(|ctx| ctx.granted.clone());
        let incoming = Incoming {
            request_id: asked.request_id.to_owned(),
            headers: parts.headers,
            query,
            params,
            base: asked.base.to_owned(),
            version: admitted.version,
            caller: admitted.caller,
            bytes,
        };
        // The block is a future, so that a panic before the first await becomes an
        // answer, too.
        let running = async { endpoint.run(incoming).await };
        let response = AssertUnwindSafe(running)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(Error::internal("a handler panicked")))?;
        match (info.access, granted) {
            (Access::Rule(rule), Some(granted)) if !granted.has(rule) => {
                let text = format!("the route succeeded without a check of {}", rule.name);
                Err(Error::internal(text))
            }
            _ => Ok(response),
        }
    }

    /// Writes one log line for failures of the server, then renders the error.
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response {
        let (service, request_id) = (self.settings.name, asked.request_id);
        match error.kind {
            Kind::Internal => {
                tracing::error!(service, request_id, %error, "request failed");
            }
            Kind::Unavailable { .. } | Kind::Timeout | Kind::OutcomeUnknown | Kind::Aborted => {
                tracing::warn!(service, request_id, %error, "request failed");
            }
            _ => {}
        }
        self.settings.dialect.render(error, asked)
    }
}
