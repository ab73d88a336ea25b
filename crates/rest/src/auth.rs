//! Authentication: every route of a router requires a token unless it is listed
//! as public.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use kernel::{Ctx, Error, Result};

use crate::{Dialect, RequestId};

/// Authenticates a token; implemented by `identity`.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// # Errors
    /// `Unauthenticated` if the token is unknown, expired or revoked.
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx>;
}

/// The authenticated caller, as a handler argument. Always present behind
/// [`require_auth`].
#[derive(Debug, Clone)]
pub struct Caller(pub Ctx);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(StatusCode::UNAUTHORIZED)
    }
}

#[derive(Clone)]
struct Guard {
    auth: Arc<dyn Authenticator>,
    dialect: Arc<dyn Dialect>,
    public: &'static [&'static str],
}

/// Adds authentication to all routes. `public` lists full paths inside this
/// router (without a trailing slash) that need no token.
pub fn require_auth(
    router: Router,
    auth: Arc<dyn Authenticator>,
    dialect: Arc<dyn Dialect>,
    public: &'static [&'static str],
) -> Router {
    router.layer(from_fn_with_state(
        Guard {
            auth,
            dialect,
            public,
        },
        guard,
    ))
}

async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Err(e) = crate::query::check_text(request.uri()) {
        let request_id = RequestId::of(request.extensions());
        return guard.dialect.render(&e, &request_id);
    }
    let path = request.uri().path();
    let path = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    if guard.public.contains(&path) {
        return next.run(request).await;
    }
    let request_id = RequestId::of(request.extensions());
    let ctx = match token(request.headers()) {
        Some(token) => guard.auth.authenticate(&token, &request_id).await,
        None => Err(Error::unauthenticated()),
    };
    match ctx {
        Ok(ctx) => {
            request.extensions_mut().insert(Caller(ctx));
            next.run(request).await
        }
        Err(e) => guard.dialect.render(&e, &request_id),
    }
}

/// `X-Auth-Token`, the only header that OpenStack clients use.
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-auth-token")?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
