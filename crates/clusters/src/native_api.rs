//! Native routes for data that the OpenStack APIs do not offer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use kernel::Error;
use rest::RequestId;

use crate::{ClustersDeps, cluster, dialect, router};

/// `GET /clusters/{id}/progress`, below `/jeroboam/v1`.
pub(crate) fn routes(deps: Arc<ClustersDeps>) -> Router {
    Router::new()
        .route("/clusters/{id}/progress", get(progress))
        .with_state(deps)
}

async fn progress(
    State(d): State<Arc<ClustersDeps>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let id = RequestId::of(request.extensions());
    let headers = request.headers();
    let token = headers.get("x-auth-token").and_then(|v| v.to_str().ok());
    let ctx = match token {
        Some(token) => d.auth.authenticate(token, &id).await,
        None => Err(Error::unauthenticated()),
    };
    let shown = match ctx {
        Ok(ctx) => cluster::progress::show(&d, &ctx, &key).await,
        Err(e) => Err(e),
    };
    match shown {
        Ok(body) => dialect::answer(200, &body, &id),
        Err(e) => router::challenge(router::render(&e, &id), headers),
    }
}
