//! Routes of the bootstrap protocol, under `/bootstrap/v1`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kernel::{Error, Kind};
use nodewire::{CsrAsk, Hello, Observed, PREFIX, Problem, Published, Ready, Steps, TaskResult};
use serde::{Deserialize, Serialize};

use super::{ops, poll};
use crate::{ClustersDeps, dialect};

type Deps = State<Arc<ClustersDeps>>;

/// An error as agents read it.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self(e)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.0.kind == Kind::Internal {
            tracing::error!(error = %self.0, "bootstrap request failed");
        }
        let status = StatusCode::from_u16(dialect::status(&self.0.kind))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Problem {
            error: self.0.message,
        };
        (status, Json(body)).into_response()
    }
}

type Answered = Result<Response, Failure>;

pub(crate) fn routes(deps: Arc<ClustersDeps>) -> Router {
    let v1 = Router::new()
        .route("/hello", post(hello))
        .route("/steps", post(steps))
        .route("/csr", post(csr))
        .route("/published", post(published))
        .route("/join", get(join))
        .route("/peers", get(peers))
        .route("/ready", post(ready))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", post(task_done))
        .route("/observed", post(observed))
        .with_state(deps);
    Router::new().nest(PREFIX, v1)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn found<T: Serialize>(found: Option<T>) -> Response {
    found.map_or_else(done, |body| Json(body).into_response())
}

/// How long an agent is willing to wait, seconds.
#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

/// What the node knows, and how long it is willing to wait for more.
#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    known: String,
    #[serde(default)]
    wait: u64,
}

/// What the manager is at already, ids with commas between them.
#[derive(Deserialize)]
struct Busy {
    #[serde(default)]
    busy: String,
    #[serde(default)]
    wait: u64,
}

async fn hello(State(d): Deps, Json(body): Json<Hello>) -> Answered {
    Ok(Json(ops::hello(&d, &body).await?).into_response())
}

async fn steps(State(d): Deps, headers: HeaderMap, Json(body): Json<Steps>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    ops::steps(&d, &who, &body).await?;
    Ok(done())
}

async fn csr(State(d): Deps, headers: HeaderMap, Json(body): Json<CsrAsk>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    Ok(Json(ops::csr(&d, &who, &body).await?).into_response())
}

async fn published(State(d): Deps, headers: HeaderMap, Json(body): Json<Published>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    ops::published(&d, &who, &body).await?;
    Ok(done())
}

async fn join(State(d): Deps, headers: HeaderMap, Query(q): Query<Wait>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    Ok(found(
        poll::join(&d, &who, Duration::from_secs(q.wait)).await?,
    ))
}

async fn peers(State(d): Deps, headers: HeaderMap, Query(q): Query<Known>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    let wait = Duration::from_secs(q.wait);
    Ok(found(poll::peers(&d, &who, &q.known, wait).await?))
}

async fn ready(State(d): Deps, headers: HeaderMap, Json(_): Json<Ready>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    ops::ready(&d, &who).await?;
    Ok(done())
}

async fn tasks(State(d): Deps, headers: HeaderMap, Query(q): Query<Busy>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    let busy: Vec<&str> = q.busy.split(',').collect();
    let wait = Duration::from_secs(q.wait);
    Ok(found(poll::task(&d, &who, &busy, wait).await?))
}

async fn task_done(
    State(d): Deps,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<TaskResult>,
) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    ops::task_done(&d, &who, &id, &body).await?;
    Ok(done())
}

async fn observed(State(d): Deps, headers: HeaderMap, Json(body): Json<Observed>) -> Answered {
    let who = ops::who(&d, bearer(&headers)).await?;
    ops::observed(&d, &who, &body).await?;
    Ok(done())
}
