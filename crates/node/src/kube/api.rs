//! A small client of the Kubernetes API: HTTP/1.1 over TLS with a client
//! certificate, JSON values, one connection per request.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use kernel::{Error, Kind, Result};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection_driver::run_with_connection;

const MAX_ANSWER: usize = 64 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";
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
    connector: TlsConnector,
}

/// An unparsed answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u64>,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The error message of the server.
    pub(crate) fn message(&self) -> String {
        let said = self.json();
        said["message"]
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| format!("HTTP {}: {}", self.status, self.text.trim()))
    }

    fn accepted(self, path: &str) -> Result<Value> {
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
        let wrong = |e: &dyn std::fmt::Display| {
            Error::invalid("certificate", format!("{name} cannot be used: {e}"))
        };
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(&read(format!("{}.crt", self.ca))?) {
            roots
                .add(ca.map_err(|e| wrong(&e))?)
                .map_err(|e| wrong(&e))?;
        }
        let chain = CertificateDer::pem_slice_iter(&read(format!("{name}.crt"))?)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| wrong(&e))?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(format!("{name}.key"))?).map_err(|e| wrong(&e))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|e| wrong(&e))?;
        Ok(Loaded {
            modified,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}

impl Api {
    /// `at` is `address:port`; the files are PEM: `NAME.crt` and `NAME.key`
    /// next to `ca.crt`.
    ///
    /// # Errors
    /// Invalid `certificate`: a file is missing or unusable.
    pub(crate) fn new(at: &str, dir: &Path, name: &str) -> Result<Self> {
        Self::trusting("ca", at, dir, name)
    }

    /// As `new` with another CA in the file `CA.crt`.
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
                .map_err(|_| Error::invalid("api", format!("'{at}' is no address")))?,
            at: at.to_owned(),
            loaded: Arc::new(Mutex::new(files.load()?)),
            files,
        })
    }

    /// Uses the current certificate, because it is renewed from time to time.
    fn connector(&self) -> TlsConnector {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.modified != self.files.modified()
            && let Ok(fresh) = self.files.load()
        {
            *loaded = fresh;
        }
        loaded.connector.clone()
    }

    /// # Errors
    /// NotFound, Conflict, Invalid, Forbidden, Unavailable by the status, with
    /// the message of the server.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, JSON, None)
            .await?
            .accepted(path)
    }

    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.send(Method::DELETE, path, JSON, None)
            .await?
            .accepted(path)
    }

    /// Applies a merge patch.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, MERGE, Some(change))
            .await?
            .accepted(path)
    }

    /// Server-side apply as `jeroboam`, taking over fields of other managers.
    ///
    /// # Errors
    /// Same errors as `get`.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=jeroboam&force=true");
        self.send(Method::PATCH, &path, APPLY, Some(object))
            .await?
            .accepted(&path)
    }

    /// Posts, and returns the answer with any status.
    ///
    /// # Errors
    /// Unavailable, Timeout: no answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, JSON, Some(body)).await
    }

    /// Gets, and returns the answer with any status.
    ///
    /// # Errors
    /// Same errors as `post`.
    pub(crate) async fn look(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, JSON, None).await
    }

    /// Whether the server answers. Its port is open and accepts connections
    /// long before.
    pub(crate) async fn answers(&self) -> bool {
        self.look("/livez").await.is_ok()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let work = self.exchange(method, path, kind, body, |answer| async {
            let status = answer.status();
            let retry_after = answer
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|v| v.to_str().ok()?.parse().ok());
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|e| self.away(&e))?
                .to_bytes();
            Ok(Answer {
                status: status.as_u16(),
                retry_after,
                text: String::from_utf8_lossy(&body).into_owned(),
            })
        });
        tokio::time::timeout(ANSWER, work)
            .await
            .map_err(|_| Error::timeout(format!("{path}: no answer from {} in 30 s", self.at)))?
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
        let away = |e: &dyn std::fmt::Display| self.away(e);
        self.exchange(Method::GET, path, JSON, None, |answer| async move {
            let status = answer.status();
            let mut body = answer.into_body();
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| away(&e))?;
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d));
                if status != StatusCode::OK {
                    continue;
                }
                while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                    let event: Value = serde_json::from_slice(&rest[..end]).unwrap_or(Value::Null);
                    rest.drain(..=end);
                    let kind = event["type"].as_str().unwrap_or_default();
                    if kind == "ERROR" {
                        return Ok(None);
                    }
                    if let Some(found) = see(kind, &event["object"]) {
                        return Ok(Some(found));
                    }
                }
            }
            if status == StatusCode::OK {
                return Ok(None);
            }
            let answer = Answer {
                status: status.as_u16(),
                retry_after: None,
                text: String::from_utf8_lossy(&rest).into_owned(),
            };
            answer.accepted(path).map(|_| None)
        })
        .await
    }

    fn away(&self, e: &dyn std::fmt::Display) -> Error {
        Error::unavailable(format!("{}: {e}", self.at))
    }

    async fn exchange<T, F: Future<Output = Result<T>>>(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
        receive: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<T> {
        let away = |e: &dyn std::fmt::Display| self.away(e);
        let connect = async {
            let tcp = TcpStream::connect(&self.at).await.map_err(|e| away(&e))?;
            let _ = tcp.set_nodelay(true);
            self.connector()
                .connect(self.name.clone(), tcp)
                .await
                .map_err(|e| away(&e))
        };
        let tls = tokio::time::timeout(CONNECT, connect)
            .await
            .map_err(|_| away(&"no connection within 3 s"))??;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|e| away(&e))?;
        let body = match body {
            Some(value) => Bytes::from(serde_json::to_vec(value)?),
            None => Bytes::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.at)
            .header(header::ACCEPT, JSON)
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(body))
            .map_err(Error::internal)?;
        run_with_connection(connection, async {
            let answer = send.send_request(request).await.map_err(|e| away(&e))?;
            receive(answer).await
        })
        .await
    }
}
