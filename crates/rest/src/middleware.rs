//! Common layers of every router: request ids, trailing slashes, panics,
//! unknown paths.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Extensions, HeaderValue, Uri};
use axum::response::Response;
use futures_util::FutureExt as _;
use kernel::{Error, ids};
use tower::ServiceExt as _;

use crate::Dialect;

/// The id of a request, in its extensions and in the headers of the answer.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    /// The id in these extensions; a new one outside of [`finish`].
    #[must_use]
    pub fn of(extensions: &Extensions) -> String {
        extensions
            .get::<Self>()
            .map_or_else(ids::request_id, |r| r.0.clone())
    }
}

/// Adds the outermost layer. Unknown paths are answered in `dialect` if no
/// inner router has a fallback; a panic in a handler becomes a 500 of the
/// dialect.
pub fn finish(router: Router, dialect: Arc<dyn Dialect>) -> Router {
    let unknown = dialect.clone();
    let inner = router.fallback(move |request: Request| async move {
        let id = RequestId::of(request.extensions());
        unknown.render(&Error::not_found("Path", request.uri().path()), &id)
    });
    // Routing has to happen after the path is normalised, so the whole router
    // is the fallback of an empty one.
    Router::new().fallback(move |request: Request| outer(inner, dialect, request))
}

async fn outer(router: Router, dialect: Arc<dyn Dialect>, mut request: Request) -> Response {
    let id = ids::request_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = match AssertUnwindSafe(router.oneshot(request))
        .catch_unwind()
        .await
    {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => dialect.render(&Error::internal("a handler panicked"), &id),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response
            .headers_mut()
            .insert("x-openstack-request-id", value);
    }
    response
}

fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || path == "/" {
        return None;
    }
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    let text = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}
