//! The API of the nested engine over its unix socket: HTTP/1.1, one connection
//! per request, without a library that would impose an API version.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Method, StatusCode};
use kernel::{Error, Kind, Result};
use nodewire::bounds::{SENT_TEXT, display_text};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::http::{self, Body, Endpoint, JSON, Limits, Server};

pub(crate) const SOCKET: &str = "/var/run/docker.sock";
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    // The engine may take 20 s to join a swarm.
    answer: Duration::from_secs(60),
    // `GET /nodes` of a thousand nodes has about 2 MB.
    bytes: 64 * 1024 * 1024,
};
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    server: Server,
}

/// Swarm and engine information of `GET /info`.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    /// `inactive`, `pending`, `active`, `error`, `locked`.
    pub state: String,
    pub node_id: String,
    /// Whether this node has control access to the swarm.
    pub control: bool,
    pub error: String,
    pub version: String,
}

impl Engine {
    pub(crate) fn at(socket: &Path) -> Self {
        Self {
            server: Server {
                endpoint: Endpoint::Socket(socket.to_owned()),
                name: "the engine".into(),
                limits: LIMITS,
            },
        }
    }

    /// Whether the engine answers.
    pub(crate) async fn ping(&self) -> bool {
        let Ok(request) = http::request(Method::GET, "/_ping", JSON, empty()) else {
            return false;
        };
        matches!(
            tokio::time::timeout(PING_TIMEOUT, self.server.call(request)).await,
            Ok(Ok(answer)) if answer.status.is_success()
        )
    }

    /// # Errors
    /// NotFound, Conflict, Invalid and Unavailable by the status of the answer,
    /// with the message of the engine.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, empty()).await
    }

    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = http::full(serde_json::to_vec(body)?);
        self.call(Method::POST, path, body).await
    }

    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, empty()).await
    }

    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn info(&self) -> Result<Info> {
        let all = self.get("/info").await?;
        let swarm = &all["Swarm"];
        Ok(Info {
            state: text(&swarm["LocalNodeState"]),
            node_id: text(&swarm["NodeID"]),
            control: swarm["ControlAvailable"].as_bool().unwrap_or(false),
            error: text(&swarm["Error"]),
            version: text(&all["ServerVersion"]),
        })
    }

    /// Loads an archive of `docker save`, streamed.
    ///
    /// # Errors
    /// Internal: the file cannot be read. Unavailable: the engine refused the
    /// archive, possibly in an answer with status 200.
    pub(crate) async fn load(&self, archive: &Path) -> Result<()> {
        let file = File::open(archive)
            .await
            .map_err(|e| Error::internal(format!("{}: {e}", archive.display())))?;
        let chunks = stream::try_unfold(file, |mut file| async move {
            let mut chunk = vec![0u8; 128 * 1024];
            let length = file.read(&mut chunk).await?;
            chunk.truncate(length);
            Ok::<_, std::io::Error>((length > 0).then(|| (Frame::data(Bytes::from(chunk)), file)))
        });
        let body = StreamBody::new(chunks).boxed_unsync();
        let request = http::request(Method::POST, "/images/load?quiet=1", JSON, body)?;
        // This has no time limit, because a disk may be slow.
        let read = |answer| self.server.read(answer);
        let answer = self.server.exchange(request, read).await?;
        let message = String::from_utf8_lossy(&answer.body);
        if !answer.status.is_success() || message.contains("\"errorDetail\"") {
            return Err(Error::unavailable(format!(
                "loading {}: {}",
                archive.display(),
                display_text(message.trim(), SENT_TEXT)
            )));
        }
        Ok(())
    }

    /// Reads an endless answer and calls `wake` for each part of it; returns
    /// when the engine ends the answer.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn follow(&self, path: &str, wake: impl Fn()) -> Result<()> {
        let request = http::request(Method::GET, path, JSON, empty())?;
        let receive = |answer: hyper::Response<hyper::body::Incoming>| async {
            if !answer.status().is_success() {
                let answer = self.server.read(answer).await?;
                return Err(refusal(path, answer.status, &answer.body));
            }
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {
                wake();
            }
            Ok(())
        };
        self.server.exchange(request, receive).await
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Value> {
        let request = http::request(method, path, JSON, body)?;
        let answer = self.server.call(request).await?;
        if !answer.status.is_success() {
            return Err(refusal(path, answer.status, &answer.body));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| Error::internal(format!("{path}: the engine's answer: {e}")))
    }
}

fn empty() -> Body {
    http::full(Bytes::new())
}

fn refusal(path: &str, status: StatusCode, body: &[u8]) -> Error {
    let message = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|v| v["message"].as_str().map(|m| display_text(m, SENT_TEXT)))
        .unwrap_or_else(|| format!("HTTP {status}"));
    let kind = match status.as_u16() {
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        400 => Kind::Invalid {
            field: path.to_owned(),
        },
        _ => Kind::Unavailable { retry_after: 1 },
    };
    Error::new(kind, message)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
