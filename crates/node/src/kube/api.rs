//! A small client of the Kubernetes API: HTTP/1.1 over TLS with a client
//! certificate, JSON values, one connection per request.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::{Method, Request, StatusCode, header};
use kernel::{Error, Kind, Result};
use nodewire::bounds::{SENT_TEXT, display_text};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::http::{self, Body, Endpoint, JSON, Limits, Lines, Server, tls};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(3),
    answer: Duration::from_secs(30),
    bytes: 64 * 1024 * 1024,
};
const ALLOWED_TIMEOUT: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(30);
/// Upper limit for `Retry-After`, seconds.
const MAX_RETRY_AFTER: u64 = 60;

const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A client of one API server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    at: String,
    name: ServerName<'static>,
    files: Files,
    loaded: Arc<Mutex<Loaded>>,
}

/// Paths of the client certificate, the key and the trusted CA.
#[derive(Debug, Clone)]
struct Files {
    dir: PathBuf,
    name: String,
    ca: &'static str,
}

/// The loaded files and their modification time.
struct Loaded {
    modified: Option<SystemTime>,
    config: Arc<ClientConfig>,
}

/// An unparsed answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u64>,
    pub body: Bytes,
}

impl Answer {
    fn of(answer: http::Answer) -> Self {
        let retry_after = answer.headers.get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        Self {
            status: answer.status.as_u16(),
            retry_after: retry_after.map(|seconds| seconds.min(MAX_RETRY_AFTER)),
            body: answer.body,
        }
    }

    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The end of the body as text for display.
    pub(crate) fn text(&self) -> String {
        let start = self.body.len().saturating_sub(SENT_TEXT);
        String::from_utf8_lossy(self.body.get(start..).unwrap_or_default()).into_owned()
    }

    /// The error message of the server.
    pub(crate) fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .map(|message| display_text(message, SENT_TEXT))
            .unwrap_or_else(|| format!("HTTP {}: {}", self.status, self.text().trim()))
    }

    /// The body of a successful answer; otherwise the error.
    fn into_result(self, path: &str) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.json());
        }
        let kind = match self.status {
            401 => Kind::Unauthenticated,
            403 => Kind::Forbidden,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            400 | 422 => Kind::Invalid {
                field: path.to_owned(),
            },
            _ => Kind::Unavailable { retry_after: 1 },
        };
        Err(Error::new(kind, self.message()))
    }
}

impl Files {
    fn modified(&self) -> Option<SystemTime> {
        let certificate = self.dir.join(format!("{}.crt", self.name));
        fs::metadata(certificate).and_then(|m| m.modified()).ok()
    }

    fn load(&self) -> Result<Loaded> {
        let name = &self.name;
        let modified = self.modified();
        let read = |file: String| {
            let path = self.dir.join(file);
            fs::read(&path)
                .map_err(|e| Error::invalid("certificate", format!("{}: {e}", path.display())))
        };
        let ca = read(format!("{}.crt", self.ca))?;
        let cert = read(format!("{name}.crt"))?;
        let key = read(format!("{name}.key"))?;
        Ok(Loaded {
            modified,
            config: tls::mutual(name, &ca, &cert, &key)?,
        })
    }
}

impl Api {
    /// A client of the server at `at` (`address:port`). The certificate, the key
    /// and the CA are the PEM files `NAME.crt`, `NAME.key` and `ca.crt` in `dir`.
    ///
    /// # Errors
    /// Invalid `certificate`: a file is missing or unusable.
    pub(crate) fn new(at: &str, dir: &Path, name: &str) -> Result<Self> {
        Self::trusting("ca", at, dir, name)
    }

    /// Like `new`, with the CA in the file `CA.crt`.
    ///
    /// # Errors
    /// Same errors as `new`.
    pub(crate) fn trusting(ca: &'static str, at: &str, dir: &Path, name: &str) -> Result<Self> {
        let files = Files {
            dir: dir.to_owned(),
            name: name.to_owned(),
            ca,
        };
        let host = at.rsplit_once(':').map_or(at, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            name: ServerName::try_from(host.to_owned())
                .map_err(|_| Error::invalid("api", format!("'{at}' is not an address")))?,
            at: at.to_owned(),
            loaded: Arc::new(Mutex::new(files.load()?)),
            files,
        })
    }

    /// The server, with the current client certificate: the file is loaded again
    /// after each renewal.
    fn server(&self) -> Server {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.modified != self.files.modified()
            && let Ok(fresh) = self.files.load()
        {
            *loaded = fresh;
        }
        Server {
            endpoint: Endpoint::Tls {
                at: self.at.clone(),
                name: self.name.clone(),
                config: loaded.config.clone(),
                mark: None,
            },
            name: self.at.clone(),
            limits: LIMITS,
        }
    }

    /// # Errors
    /// NotFound, Conflict, Invalid, Forbidden, Unavailable by the status, with
    /// the message of the server.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, JSON, None)
            .await?
            .into_result(path)
    }

    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.send(Method::DELETE, path, JSON, None)
            .await?
            .into_result(path)
    }

    /// Applies a merge patch.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, MERGE, Some(change))
            .await?
            .into_result(path)
    }

    /// Applies an object on the server side, as field manager `jeroboam`, which
    /// takes over fields of other managers.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=jeroboam&force=true");
        self.send(Method::PATCH, &path, APPLY, Some(object))
            .await?
            .into_result(&path)
    }

    /// Sends a POST request and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Unavailable, Timeout: no answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, JSON, Some(body)).await
    }

    /// Sends a GET request and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Same errors as `post`.
    pub(crate) async fn look(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, JSON, None).await
    }

    /// Whether the server answers a request. Its port accepts connections long
    /// before that.
    pub(crate) async fn answers(&self) -> bool {
        self.look("/livez").await.is_ok()
    }

    /// Waits until a request returns 200, for at most `ALLOWED_TIMEOUT`.
    pub(crate) async fn wait_until_allowed(&self, path: &str) {
        let allowed = async {
            while !self.look(path).await.is_ok_and(|a| a.status == 200) {
                sleep(SOON).await;
            }
        };
        let _ = timeout(ALLOWED_TIMEOUT, allowed).await;
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let request = request(method, path, kind, body)?;
        self.server().call(request).await.map(Answer::of)
    }

    /// Opens a watch and passes the object of every event to `see` until that
    /// returns a value; `None` when the server ended the watch.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn watch<T>(
        &self,
        path: &str,
        mut see: impl FnMut(&str, &Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let server = &self.server();
        let request = request(Method::GET, path, JSON, None)?;
        server
            .exchange(request, |answer| async move {
                if answer.status() != StatusCode::OK {
                    let answer = Answer::of(server.read(answer).await?);
                    return answer.into_result(path).map(|_| None);
                }
                let mut lines = Lines::of(answer.into_body());
                while let Some(line) = lines.next().await? {
                    let event: Value = serde_json::from_slice(&line).unwrap_or(Value::Null);
                    let kind = event["type"].as_str().unwrap_or_default();
                    if kind == "ERROR" {
                        return Ok(None);
                    }
                    if let Some(found) = see(kind, &event["object"]) {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            })
            .await
    }
}

fn request(method: Method, path: &str, kind: &str, body: Option<&Value>) -> Result<Request<Body>> {
    let body = match body {
        Some(value) => Bytes::from(serde_json::to_vec(value)?),
        None => Bytes::new(),
    };
    http::request(method, path, kind, http::full(body))
}
