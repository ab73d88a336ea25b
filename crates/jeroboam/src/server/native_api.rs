//! Native routes: health, leaks, images. All except health are for admins.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use compute::Compute;
use db::Db;
use infra::ContainerHost;
use kernel::{Error, Result};
use network::NetworkService;
use rest::limits::Connections;
use serde_json::json;

use super::images::RegisterRequest;

/// Dependencies of the routes.
#[derive(Clone)]
pub struct NativeApi {
    pub host: Arc<dyn ContainerHost>,
    pub compute: Compute,
    pub network: NetworkService,
    pub db: Db,
    pub agents: clusters::Bootstrap,
    /// Connections of agents.
    pub connections: Connections,
}

/// Public; succeeds if the database answers.
pub fn health(db: Db) -> Router {
    Router::new().route("/healthz", get(healthz)).with_state(db)
}

/// Mounted under `/jeroboam/v1`, behind authentication.
pub fn routes(native_api: NativeApi) -> Router {
    Router::new()
        .route("/leaks", get(leaks))
        .route("/stats", get(stats))
        .route("/images", post(register))
        .route("/images/refresh", post(refresh))
        .with_state(native_api)
}

async fn healthz(State(db): State<Db>) -> Response {
    match db.query("SELECT 1 AS one", vec![]).await {
        Ok(_) => Json(json!({"status": "ok"})).into_response(),
        Err(e) => {
            tracing::warn!(error = %e, "health");
            let body = json!({"status": "unavailable", "detail": e.message});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn leaks(State(native_api): State<NativeApi>, rest::Caller(ctx): rest::Caller) -> Response {
    let found = async {
        admin(&ctx)?;
        let mut all = native_api.compute.leaks().await?;
        all.extend(native_api.network.leaks().await?);
        Ok(all)
    };
    answer(found.await.map(|leaks| {
        let list: Vec<_> = leaks
            .iter()
            .map(|l| json!({"kind": l.object, "name": l.name, "id": l.id, "side": format!("{:?}", l.side), "what": l.hint}))
            .collect();
        json!({"leaks": list})
    }))
}

/// Counters of the process since its start.
async fn stats(State(native_api): State<NativeApi>, rest::Caller(ctx): rest::Caller) -> Response {
    let (clusters, streams) = native_api.agents.sessions();
    let listener = native_api.connections.figures();
    answer(admin(&ctx).map(|()| {
        json!({"queries": native_api.db.queries(), "agents": {
            "clusters": clusters, "streams": streams, "connections": listener.connections,
            "refused_connections": listener.refused, "evicted_connections": listener.evicted,
            "listeners": listener.listeners}})
    }))
}

async fn refresh(State(native_api): State<NativeApi>, rest::Caller(ctx): rest::Caller) -> Response {
    let names = async {
        admin(&ctx)?;
        super::images::refresh(native_api.host.as_ref(), &native_api.compute.api()).await
    };
    answer(names.await.map(|names| json!({"images": names})))
}

async fn register(
    State(native_api): State<NativeApi>,
    rest::Caller(ctx): rest::Caller,
    body: Bytes,
) -> Response {
    let made = async {
        admin(&ctx)?;
        let given: RegisterRequest = serde_json::from_slice(&body)
            .map_err(|e| Error::invalid("body", format!("body: {e}")))?;
        super::images::register(&ctx, &native_api.compute.api(), given).await
    };
    answer(made.await.map(|image| json!({"image": image})))
}

fn admin(ctx: &kernel::Ctx) -> Result<()> {
    if ctx.is_admin() {
        return Ok(());
    }
    Err(Error::forbidden(
        "This needs the role admin; use the cloud 'jeroboam' of clouds.yaml.",
    ))
}

fn answer(result: Result<serde_json::Value>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(e) => super::dialect::NativeDialect.respond(&e),
    }
}
