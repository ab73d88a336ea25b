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
use super::session::{Duties, Session};
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

pub(crate) fn routes(bootstrap: Bootstrap) -> Router {
    // What agents of both protocols say in the same words.
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
        .route("/tasks", get(duties))
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

async fn hello(State(b): Deps, Json(body): Json<Hello>) -> Answered {
    let (accepted, _) = hello::hello(&b.deps, &body, CALLS).await?;
    Ok(Json(accepted.welcome).into_response())
}

/// Has no end: a frame per line, when there is something to say.
async fn session(State(b): Deps, Json(body): Json<Hello>) -> Answered {
    let (accepted, who) = hello::hello(&b.deps, &body, SESSIONS).await?;
    let feed = b.feeds.subscribe(&who.cluster.uuid);
    let session = Session::new(who, accepted, body.peers, feed);
    let frames = stream::unfold(session, |mut session| async move {
        Some((session.next().await?, session))
    });
    Ok(lines(frames))
}

/// As a session, for a manager that is able to do something.
async fn duties(State(b): Deps, headers: HeaderMap) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    let feed = b.feeds.subscribe(&who.cluster.uuid);
    let duties = Duties::new(b.deps, who, feed);
    let frames = stream::unfold(duties, |mut duties| async move {
        Some((duties.next().await?, duties))
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
) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::unsupported(&who, &body);
    Ok(done())
}

async fn steps(State(b): Deps, headers: HeaderMap, Json(body): Json<Steps>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::steps(&b.deps, &who, &body).await?;
    Ok(done())
}

async fn csr(State(b): Deps, headers: HeaderMap, Json(body): Json<CsrAsk>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    Ok(Json(ops::csr(&b.deps, &who, &body).await?).into_response())
}

async fn published(State(b): Deps, headers: HeaderMap, Json(body): Json<Published>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::published(&b.deps, &who, &body).await?;
    Ok(done())
}

async fn join(State(b): Deps, headers: HeaderMap, Query(q): Query<Wait>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    let feed = b.feeds.subscribe(&who.cluster.uuid);
    Ok(found(
        poll::join(&who, feed, Duration::from_secs(q.wait)).await,
    ))
}

async fn peers(State(b): Deps, headers: HeaderMap, Query(q): Query<Known>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    let wait = Duration::from_secs(q.wait);
    let feed = b.feeds.subscribe(&who.cluster.uuid);
    let peers = poll::peers(&who, feed, &q.known, wait).await?;
    Ok(found(peers.as_deref()))
}

async fn ready(State(b): Deps, headers: HeaderMap, Json(_): Json<Ready>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::ready(&b.deps, &who).await?;
    Ok(done())
}

async fn tasks(State(b): Deps, headers: HeaderMap, Query(q): Query<Busy>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    let busy: Vec<&str> = q.busy.split(',').collect();
    let wait = Duration::from_secs(q.wait);
    let feed = b.feeds.subscribe(&who.cluster.uuid);
    Ok(found(poll::task(&b.deps, &who, feed, &busy, wait).await?))
}

async fn task_done(
    State(b): Deps,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<TaskResult>,
) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::task_done(&b.deps, &who, &id, &body).await?;
    Ok(done())
}

async fn observed(State(b): Deps, headers: HeaderMap, Json(body): Json<Observed>) -> Answered {
    let who = ops::who(&b.deps, bearer(&headers)).await?;
    ops::observed(&b.deps, &who, &body).await?;
    Ok(done())
}
