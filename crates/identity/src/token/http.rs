//! Routes of version documents and `/v3/auth`.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use kernel::{Error, Kind, Result};
use rest::{Caller, Dialect as _, RequestId};
use serde_json::{Value, json};

use super::payload::Scope;
use super::{ops, wire};
use crate::dialect::Keystone;
use crate::project::{self, Project};
use crate::{Identity, catalog};

pub(crate) fn routes(identity: Identity) -> Router {
    Router::new()
        .route("/identity", get(versions))
        .route("/identity/v3", get(version))
        .route("/identity/v3/auth/tokens", axum::routing::any(tokens))
        .route("/identity/v3/auth/catalog", get(auth_catalog))
        .route("/identity/v3/auth/projects", get(auth_projects))
        .route("/identity/v3/auth/domains", get(auth_domains))
        .route("/identity/v3/auth/system", get(auth_system))
        .fallback(|request: Request| async move {
            let id = RequestId::of(request.extensions());
            Keystone.render(&Error::not_found("Path", request.uri().path()), &id)
        })
        .with_state(identity)
}

/// Renders a result in Keystone's dialect.
pub(crate) fn answer(result: Result<Response>, request_id: &str) -> Response {
    result.unwrap_or_else(|e| Keystone.render(&e, request_id))
}

impl Identity {
    fn base(&self, headers: &HeaderMap) -> String {
        rest::link::base(headers, self.public_endpoint.as_deref())
    }
}

fn document(base: &str) -> Value {
    json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{base}/identity/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn versions(State(identity): State<Identity>, headers: HeaderMap) -> Response {
    let base = identity.base(&headers);
    let mut response = (
        StatusCode::MULTIPLE_CHOICES,
        Json(json!({"versions": {"values": [document(&base)]}})),
    )
        .into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("{base}/identity/v3/")) {
        response.headers_mut().insert("location", value);
    }
    response
}

async fn version(State(identity): State<Identity>, headers: HeaderMap) -> Response {
    Json(json!({"version": document(&identity.base(&headers))})).into_response()
}

/// One path with four methods: POST is public, the others authenticate by
/// `X-Auth-Token` here.
async fn tokens(State(identity): State<Identity>, request: Request) -> Response {
    let id = RequestId::of(request.extensions());
    let (parts, body) = request.into_parts();
    let nocatalog = parts.uri.query().is_some_and(|q| q.contains("nocatalog"));
    let result = match parts.method {
        Method::POST => issue(&identity, &parts.headers, body, nocatalog).await,
        Method::GET | Method::HEAD => show(&identity, &parts.headers, nocatalog).await,
        Method::DELETE => revoke(&identity, &parts.headers).await,
        _ => Err(Error::new(
            Kind::NotSupported { status: 405 },
            "The method is not allowed for the requested URL.",
        )),
    };
    answer(result, &id)
}

async fn issue(
    identity: &Identity,
    headers: &HeaderMap,
    body: Body,
    nocatalog: bool,
) -> Result<Response> {
    let bytes = rest::body::bytes(body, rest::body::LIMIT).await?;
    let request = wire::read(&rest::body::json(&bytes, headers)?)?;
    let (token, valid) = ops::issue(identity, request).await?;
    let body = wire::token(&valid, render_catalog(identity, headers, nocatalog));
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    subject(&mut response, &token);
    Ok(response)
}

fn render_catalog(identity: &Identity, headers: &HeaderMap, nocatalog: bool) -> Option<Value> {
    (!nocatalog).then(|| catalog::render(&identity.catalog, &identity.base(headers)))
}

fn subject(response: &mut Response, token: &str) {
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert("x-subject-token", value);
    }
    response
        .headers_mut()
        .insert("vary", HeaderValue::from_static("X-Auth-Token"));
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// What is done with the token that a request names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Show,
    Revoke,
}

impl Use {
    /// Whether these roles permit it for tokens of other users. A service
    /// validates the tokens of its callers and revokes none.
    fn is_permitted(self, caller: &super::Valid) -> bool {
        let has = |name: &str| caller.roles.iter().any(|r| r.name == name);
        let system = caller.payload.scope == Scope::System;
        has("admin") || self == Self::Show && (has("service") || system && has("reader"))
    }

    fn action(self) -> &'static str {
        match self {
            Self::Show => "identity:validate_token",
            Self::Revoke => "identity:revoke_token",
        }
    }
}

/// The text of the token that is examined, and its contents. Every user
/// may examine and revoke tokens of their own.
async fn subject_token(
    identity: &Identity,
    headers: &HeaderMap,
    purpose: Use,
) -> Result<(String, std::sync::Arc<super::Valid>)> {
    let caller = header(headers, "x-auth-token").ok_or_else(Error::unauthenticated)?;
    let caller = ops::validate(identity, caller).await?;
    let subject = header(headers, "x-subject-token")
        .ok_or_else(|| Error::not_found("Token", "without X-Subject-Token"))?;
    let about = ops::validate(identity, subject)
        .await
        .map_err(|e| match e.kind {
            Kind::Unauthenticated => Error::new(Kind::NotFound, "Could not recognize Fernet token"),
            // A failure of the database says nothing about the token.
            _ => e,
        })?;
    if caller.user.id != about.user.id && !purpose.is_permitted(&caller) {
        return Err(crate::call::forbidden(purpose.action()));
    }
    Ok((subject.to_owned(), about))
}

async fn show(identity: &Identity, headers: &HeaderMap, nocatalog: bool) -> Result<Response> {
    let (token, valid) = subject_token(identity, headers, Use::Show).await?;
    let body = wire::token(&valid, render_catalog(identity, headers, nocatalog));
    let mut response = Json(body).into_response();
    subject(&mut response, &token);
    Ok(response)
}

async fn revoke(identity: &Identity, headers: &HeaderMap) -> Result<Response> {
    let (_, valid) = subject_token(identity, headers, Use::Revoke).await?;
    ops::revoke(identity, &valid).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn auth_catalog(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    headers: HeaderMap,
) -> Response {
    if ctx.scope == kernel::Scope::Unscoped {
        return answer(
            Err(crate::call::forbidden("identity:get_auth_catalog")),
            &ctx.request_id,
        );
    }
    let base = identity.base(&headers);
    Json(json!({
        "catalog": catalog::render(&identity.catalog, &base),
        "links": {"self": format!("{base}/identity/v3/auth/catalog"), "previous": null, "next": null},
    }))
    .into_response()
}

async fn auth_projects(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    headers: HeaderMap,
) -> Response {
    let found = project::table::of_user(&identity.db, &ctx.user_id, "project").await;
    listing(found, &identity.base(&headers), "projects", &ctx.request_id)
}

async fn auth_domains(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    headers: HeaderMap,
) -> Response {
    let found = project::table::of_user(&identity.db, &ctx.user_id, "domain").await;
    listing(found, &identity.base(&headers), "domains", &ctx.request_id)
}

async fn auth_system(State(identity): State<Identity>, Caller(ctx): Caller) -> Response {
    let held = crate::role::table::held(&identity.db, &ctx.user_id, "system", "all").await;
    answer(
        held.map(|held| {
            let system = if held.is_empty() {
                json!([])
            } else {
                json!([{"all": true}])
            };
            Json(json!({"system": system})).into_response()
        }),
        &ctx.request_id,
    )
}

fn listing(found: Result<Vec<Project>>, base: &str, noun: &str, request_id: &str) -> Response {
    answer(
        found.map(|list| {
            let items: Vec<Value> = list.iter().map(|p| project::wire::show(p, base)).collect();
            let links = json!({"self": format!("{base}/identity/v3/auth/{noun}"), "previous": null, "next": null});
            Json(json!({noun: items, "links": links})).into_response()
        }),
        request_id,
    )
}
