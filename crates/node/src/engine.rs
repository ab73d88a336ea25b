//! The API of the nested engine over its unix socket: HTTP/1.1, one connection
//! per request, without a library that would impose an API version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use kernel::{Error, Kind, Result};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use crate::connection_driver::run_with_connection;

pub(crate) const SOCKET: &str = "/var/run/docker.sock";
/// `GET /nodes` of a thousand nodes has about 2 MB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Joining may take the engine 20 s.
const ANSWER: Duration = Duration::from_secs(60);

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A client of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
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
            socket: socket.to_owned(),
        }
    }

    /// Whether the engine answers.
    pub(crate) async fn ping(&self) -> bool {
        let ask = self.exchange(Method::GET, "/_ping", empty(), read);
        matches!(
            tokio::time::timeout(Duration::from_secs(2), ask).await,
            Ok(Ok((status, _))) if status.is_success()
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
        let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
        let body = body.map_err(|never| match never {}).boxed_unsync();
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
    /// Internal: the file cannot be read. Otherwise as `get`, also if the
    /// engine reports the failure in an answer with status 200.
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
        let (status, said) = self
            .exchange(Method::POST, "/images/load?quiet=1", body, read)
            .await?;
        let said = String::from_utf8_lossy(&said);
        if !status.is_success() || said.contains("\"errorDetail\"") {
            return Err(Error::unavailable(format!(
                "loading {}: {}",
                archive.display(),
                said.trim()
            )));
        }
        Ok(())
    }

    /// Reads an endless answer and calls `wake` for each chunk; returns when
    /// the engine closes it.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn follow(&self, path: &str, wake: impl Fn()) -> Result<()> {
        self.exchange(Method::GET, path, empty(), |answer| async {
            let status = answer.status();
            if !status.is_success() {
                return Err(refusal(path, status, &read(answer).await?));
            }
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {
                wake();
            }
            Ok(())
        })
        .await
        .map(|(_, ())| ())
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Value> {
        let exchange = async {
            let (status, bytes) = self.exchange(method, path, body, read).await?;
            if !status.is_success() {
                return Err(refusal(path, status, &bytes));
            }
            if bytes.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_slice(&bytes)
                .map_err(|e| Error::internal(format!("{path}: the engine's answer: {e}")))
        };
        tokio::time::timeout(ANSWER, exchange)
            .await
            .map_err(|_| Error::timeout(format!("{path}: the engine did not answer in 60 s")))?
    }

    async fn exchange<T, F: Future<Output = Result<T>>>(
        &self,
        method: Method,
        path: &str,
        body: Body,
        receive: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<(StatusCode, T)> {
        let away = |e: &dyn std::fmt::Display| Error::unavailable(format!("the engine: {e}"));
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| away(&e))?;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| away(&e))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(Error::internal)?;
        run_with_connection(connection, async {
            let answer = send.send_request(request).await.map_err(|e| away(&e))?;
            let status = answer.status();
            Ok((status, receive(answer).await?))
        })
        .await
    }
}

fn empty() -> Body {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn read(answer: Response<Incoming>) -> Result<Bytes> {
    Limited::new(answer.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map(|body| body.to_bytes())
        .map_err(|e| Error::unavailable(format!("the engine's answer broke off: {e}")))
}

fn refusal(path: &str, status: StatusCode, body: &[u8]) -> Error {
    let said = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|v| v["message"].as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("HTTP {status}"));
    let kind = match status.as_u16() {
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        400 => Kind::Invalid {
            field: path.to_owned(),
        },
        _ => Kind::Unavailable { retry_after: 1 },
    };
    Error::new(kind, said)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Percent-encodes a query value.
pub(crate) fn query(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}
