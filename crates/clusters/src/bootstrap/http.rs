//! Routes of the bootstrap protocols, under `/bootstrap/v1` and
//! `/bootstrap/v2`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use kernel::{Error, Result};
use nodewire::{
    CsrRequest, CsrResponse, Hello, Observed, PROTOCOL_CALLS, PROTOCOL_SESSION, Protocols,
    Published, Ready, ServerFrame, Steps, TaskResult, Unsupported, Welcome,
};
use rest::{Access, Api, Call, Json, NoContent, Param, Raw, Route, Service, Settings, get, post};

use super::Bootstrap;
use super::ops::NodeSession;
use super::session::{Session, TaskStream};
use super::wire::{Agents, Wire, some_or_no_content};
use super::{hello, ops, poll};

const CALLS: Protocols = Protocols {
    min: PROTOCOL_CALLS,
    max: PROTOCOL_CALLS,
};
const SESSIONS: Protocols = Protocols {
    min: PROTOCOL_SESSION,
    max: PROTOCOL_SESSION,
};

const SESSION: Access = Access::Own("bearer of a node session");
const TOKEN: Access = Access::Own("one-time token of a node, in the body");

const WAIT: &[Param] = &[Param::integer("wait", "How long to wait, seconds.")];
const KNOWN: &[Param] = &[Param::text("known", "The version that the node has.")];
const BUSY: &[Param] = &[Param::text("busy", "Ids of tasks, separated by commas.")];

pub(crate) fn api(bootstrap: Bootstrap) -> Result<Api> {
    let dialect = Arc::new(Agents);
    let mut settings = Settings::new("bootstrap", "/bootstrap", dialect.clone());
    settings.head = false;
    let service = Service::new(settings, bootstrap, routes())?;
    Ok(Api::new(vec![service], dialect, None))
}

fn routes() -> Vec<Route<Bootstrap>> {
    let mut routes = vec![
        post("/v1/hello", TOKEN, "Registers a node.", hello),
        get("/v1/join", SESSION, "Waits for a join ticket.", join).query(&[WAIT]),
        get("/v1/peers", SESSION, "Waits for other peers.", peers).query(&[KNOWN, WAIT]),
        get("/v1/tasks", SESSION, "Waits for a task.", tasks).query(&[BUSY, WAIT]),
        post(
            "/v2/session",
            TOKEN,
            "Registers a node and opens its stream.",
            session,
        ),
        get(
            "/v2/tasks",
            SESSION,
            "Opens the stream of tasks.",
            open_task_stream,
        ),
        post(
            "/v2/unsupported",
            SESSION,
            "Reports a frame that the agent does not know.",
            unsupported,
        ),
    ];
    let v1 = [
        "/v1/steps",
        "/v1/csr",
        "/v1/published",
        "/v1/ready",
        "/v1/tasks/{task_id}",
        "/v1/observed",
    ];
    let v2 = [
        "/v2/steps",
        "/v2/csr",
        "/v2/published",
        "/v2/ready",
        "/v2/tasks/{task_id}",
        "/v2/observed",
    ];
    // Routes that are identical in both protocols.
    for [
        steps_path,
        csr_path,
        published_path,
        ready_path,
        task_path,
        observed_path,
    ] in [v1, v2]
    {
        routes.extend([
            post(steps_path, SESSION, "Reports the steps of a node.", steps),
            post(csr_path, SESSION, "Signs the certificate of a node.", csr),
            post(published_path, SESSION, "Publishes how to join.", published),
            post(
                ready_path,
                SESSION,
                "Reports that a node is a member.",
                ready,
            ),
            post(
                task_path,
                SESSION,
                "Reports the result of a task.",
                task_done,
            ),
            post(
                observed_path,
                SESSION,
                "Reports the state of a cluster.",
                observed,
            ),
        ]);
    }
    routes
}

async fn authenticate<B>(call: &Call<Bootstrap, B>) -> Result<NodeSession> {
    let header = call.header("authorization");
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    ops::authenticate_session(&call.state.deps, bearer).await
}

/// How long the agent waits for an answer.
fn wait(call: &Call<Bootstrap>) -> Result<Duration> {
    let Some(text) = call.asked("wait") else {
        return Ok(Duration::ZERO);
    };
    let seconds = text.parse().map_err(|_| {
        Error::invalid("wait", format!("wait: '{text}' is not a number of seconds"))
    })?;
    Ok(Duration::from_secs(seconds))
}

async fn hello(call: Call<Bootstrap, Wire<Hello>>) -> Result<Json<Wire<Welcome>>> {
    let Wire(body) = call.body()?;
    let (accepted, _) = hello::hello(&call.state.deps, &body, CALLS).await?;
    Ok(Json(Wire(accepted.welcome)))
}

/// The answer is a stream of frames, one per line, which does not end.
async fn session(call: Call<Bootstrap, Wire<Hello>>) -> Result<Raw> {
    let Wire(body) = call.body()?;
    let b = &call.state;
    let (accepted, caller) = hello::hello(&b.deps, &body, SESSIONS).await?;
    let feed = b.feeds.subscribe(&caller.cluster.uuid);
    let session = Session::new(caller, accepted, body.peers, feed);
    let frames = stream::unfold(session, |mut session| async move {
        Some((session.next().await?, session))
    });
    Ok(lines(frames))
}

/// Opens the stream of tasks of a manager that is ready to run them.
async fn open_task_stream(call: Call<Bootstrap>) -> Result<Raw> {
    let caller = authenticate(&call).await?;
    let feed = call.state.feeds.subscribe(&caller.cluster.uuid);
    let task_stream = TaskStream::new(call.state.deps, caller, feed);
    let frames = stream::unfold(task_stream, |mut task_stream| async move {
        Some((task_stream.next().await?, task_stream))
    });
    Ok(lines(frames))
}

fn lines(frames: impl Stream<Item = ServerFrame> + Send + 'static) -> Raw {
    let lines = frames.map(|frame| Ok::<_, Infallible>(frame.line()));
    let mut answer = Response::new(Body::from_stream(lines));
    let kind = HeaderValue::from_static("application/x-ndjson");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Raw(answer)
}

async fn unsupported(call: Call<Bootstrap, Wire<Unsupported>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    ops::unsupported(&caller, &body);
    Ok(NoContent)
}

async fn steps(call: Call<Bootstrap, Wire<Steps>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    ops::steps(&call.state.deps, &caller, &body).await?;
    Ok(NoContent)
}

async fn csr(call: Call<Bootstrap, Wire<CsrRequest>>) -> Result<Json<Wire<CsrResponse>>> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    let granted = ops::csr(&call.state.deps, &caller, &body).await?;
    Ok(Json(Wire(granted)))
}

async fn published(call: Call<Bootstrap, Wire<Published>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    ops::published(&call.state.deps, &caller, &body).await?;
    Ok(NoContent)
}

async fn join(call: Call<Bootstrap>) -> Result<Raw> {
    let caller = authenticate(&call).await?;
    let feed = call.state.feeds.subscribe(&caller.cluster.uuid);
    some_or_no_content(poll::join(&caller, feed, wait(&call)?).await)
}

async fn peers(call: Call<Bootstrap>) -> Result<Raw> {
    let caller = authenticate(&call).await?;
    let known = call.asked("known").unwrap_or_default();
    let feed = call.state.feeds.subscribe(&caller.cluster.uuid);
    let peers = poll::peers(&caller, feed, known, wait(&call)?).await?;
    some_or_no_content(peers.as_deref())
}

async fn ready(call: Call<Bootstrap, Wire<Ready>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    call.body()?;
    ops::ready(&call.state.deps, &caller).await?;
    Ok(NoContent)
}

async fn tasks(call: Call<Bootstrap>) -> Result<Raw> {
    let caller = authenticate(&call).await?;
    let busy = call.asked("busy").unwrap_or_default();
    let busy: Vec<&str> = busy.split(',').collect();
    let feed = call.state.feeds.subscribe(&caller.cluster.uuid);
    let task = poll::task(&call.state.deps, &caller, feed, &busy, wait(&call)?).await?;
    some_or_no_content(task)
}

async fn task_done(call: Call<Bootstrap, Wire<TaskResult>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    let id = call.param("task_id")?;
    ops::task_done(&call.state.deps, &caller, id, &body).await?;
    Ok(NoContent)
}

async fn observed(call: Call<Bootstrap, Wire<Observed>>) -> Result<NoContent> {
    let caller = authenticate(&call).await?;
    let Wire(body) = call.body()?;
    ops::observed(&call.state.deps, &caller, &body).await?;
    Ok(NoContent)
}
