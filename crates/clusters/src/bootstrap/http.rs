//! Routes of the bootstrap protocols, under `/bootstrap/v1` and
//! `/bootstrap/v2`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _, stream};
use kernel::{Error, Kind};
use nodewire::{
    CsrAsk, Hello, Observed, PREFIX, PROTOCOL_CALLS, PROTOCOL_SESSION, Problem, Protocols,
    Published, Ready, SESSION_PREFIX, ServerFrame, Steps, TaskResult, Unsupported,
};
use serde::{Deserialize, Serialize};

use super::Bootstrap;
use super::session::{Session, TaskStream};
use super::{hello, ops, poll};
use crate::dialect;

type Deps = State<Bootstrap>;

const CALLS: Protocols = Protocols {
    min: PROTOCOL_CALLS,
    max: PROTOCOL_CALLS,
};
const SESSIONS: Protocols = Protocols {
    min: PROTOCOL_SESSION,
    max: PROTOCOL_SESSION,
};

/// An error rendered as the body that agents expect.
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

type HandlerResult = Result<Response, Failure>;

pub(crate) fn routes(bootstrap: Bootstrap) -> Router {
    // Routes that are identical in both protocols.
    let both = Router::new()
        .route("/steps", post(steps))
        .route("/csr", post(csr))
        .route("/published", post(published))
        .route("/ready", post(ready))
        .route("/tasks/{id}", post(task_done))
        .route("/observed", post(observed));
    let v1 = both
        .clone()
        .route("/hello", post(hello))
        .route("/join", get(join))
        .route("/peers", get(peers))
        .route("/tasks", get(tasks));
    let v2 = both
        .route("/session", post(session))
        .route("/tasks", get(open_task_stream))
        .route("/unsupported", post(unsupported));
    Router::new()
        .nest(PREFIX, v1)
        .nest(SESSION_PREFIX, v2)
        .with_state(bootstrap)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn json_or_no_content<T: Serialize>(found: Option<T>) -> Response {
    found.map_or_else(no_content, |body| Json(body).into_response())
}

/// How long the agent waits for an answer, seconds.
#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

/// The version of the peers that the node has, and how long it waits for a
/// change.
#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    known: String,
    #[serde(default)]
    wait: u64,
}

/// Comma-separated ids of the tasks that the manager already runs.
#[derive(Deserialize)]
struct Busy {
    #[serde(default)]
    busy: String,
    #[serde(default)]
    wait: u64,
}

async fn hello(State(b): Deps, Json(body): Json<Hello>) -> HandlerResult {
    let (accepted, _) = hello::hello(&b.deps, &body, CALLS).await?;
    Ok(Json(accepted.welcome).into_response())
}

/// Response body without an end: one line per frame.
async fn session(State(b): Deps, Json(body): Json<Hello>) -> HandlerResult {
    let (accepted, caller) = hello::hello(&b.deps, &body, SESSIONS).await?;
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    let session = Session::new(caller, accepted, body.peers, feed);
    let frames = stream::unfold(session, |mut session| async move {
        Some((session.next().await?, session))
    });
    Ok(lines(frames))
}

/// Opens the stream of tasks of a manager that is ready to run them.
async fn open_task_stream(State(b): Deps, headers: HeaderMap) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    let task_stream = TaskStream::new(b.deps, caller, feed);
    let frames = stream::unfold(task_stream, |mut task_stream| async move {
        Some((task_stream.next().await?, task_stream))
    });
    Ok(lines(frames))
}

fn lines(frames: impl Stream<Item = ServerFrame> + Send + 'static) -> Response {
    let lines = frames.map(|frame| Ok::<_, Infallible>(frame.line()));
    let mut answer = Response::new(Body::from_stream(lines));
    let kind = HeaderValue::from_static("application/x-ndjson");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

async fn unsupported(
    State(b): Deps,
    headers: HeaderMap,
    Json(body): Json<Unsupported>,
) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::unsupported(&caller, &body);
    Ok(no_content())
}

async fn steps(State(b): Deps, headers: HeaderMap, Json(body): Json<Steps>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::steps(&b.deps, &caller, &body).await?;
    Ok(no_content())
}

async fn csr(State(b): Deps, headers: HeaderMap, Json(body): Json<CsrAsk>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    Ok(Json(ops::csr(&b.deps, &caller, &body).await?).into_response())
}

async fn published(
    State(b): Deps,
    headers: HeaderMap,
    Json(body): Json<Published>,
) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::published(&b.deps, &caller, &body).await?;
    Ok(no_content())
}

async fn join(State(b): Deps, headers: HeaderMap, Query(q): Query<Wait>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    Ok(json_or_no_content(
        poll::join(&caller, feed, Duration::from_secs(q.wait)).await,
    ))
}

async fn peers(State(b): Deps, headers: HeaderMap, Query(q): Query<Known>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    let wait = Duration::from_secs(q.wait);
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    let peers = poll::peers(&caller, feed, &q.known, wait).await?;
    Ok(json_or_no_content(peers.as_deref()))
}

async fn ready(State(b): Deps, headers: HeaderMap, Json(_): Json<Ready>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::ready(&b.deps, &caller).await?;
    Ok(no_content())
}

async fn tasks(State(b): Deps, headers: HeaderMap, Query(q): Query<Busy>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    let busy: Vec<&str> = q.busy.split(',').collect();
    let wait = Duration::from_secs(q.wait);
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    Ok(json_or_no_content(
        poll::task(&b.deps, &caller, feed, &busy, wait).await?,
    ))
}

async fn task_done(
    State(b): Deps,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<TaskResult>,
) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::task_done(&b.deps, &caller, &id, &body).await?;
    Ok(no_content())
}

async fn observed(State(b): Deps, headers: HeaderMap, Json(body): Json<Observed>) -> HandlerResult {
    let caller = ops::authenticate_session(&b.deps, bearer(&headers)).await?;
    ops::observed(&b.deps, &caller, &body).await?;
    Ok(no_content())
}
