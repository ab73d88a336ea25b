//! The HTTP client of the agent: over TLS, to sockets and to ports of this node.
//! All sizes and times are bounded. An exchange opens a separate connection
//! and drives it itself, because a pool of connections needs tasks that outlive
//! the exchange; only the session with the server keeps its connection.

mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kernel::{Error, Result};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) use stream::{Lines, Stream};

pub(crate) const JSON: &str = "application/json";

/// Mark of the connections to the server. kube-proxy and network plug-ins use the lower 16
/// bits.
pub(crate) const MARK: u32 = 0x4a42_0000;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
/// The sending side of an HTTP/2 connection. Cheap to clone.
pub(crate) type Sender = http2::SendRequest<Body>;

/// The address of a server, and how to connect to it.
#[derive(Clone)]
pub(crate) enum Endpoint {
    Socket(PathBuf),
    /// Without TLS: a port of this node.
    Local(SocketAddr),
    /// `at` is `address:port`.
    Tls {
        at: String,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        /// Mark of all packets, for firewall rules of this node.
        mark: Option<u32>,
    },
}

/// Bounds of an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Time limit for the connection, including its TLS handshake.
    pub connect: Duration,
    /// Time limit for an exchange, up to the end of the answer. It does not
    /// apply to streams.
    pub answer: Duration,
    /// Maximum length of the body of the answer.
    pub bytes: usize,
}

/// A server, with the bounds of exchanges with it.
#[derive(Clone)]
pub(crate) struct Server {
    pub endpoint: Endpoint,
    /// For messages.
    pub name: String,
    pub limits: Limits,
}

/// A whole answer.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A request with a body of the media type `kind`; `path` may have a query.
///
/// # Errors
/// Internal: the path is not part of a URI.
pub(crate) fn request(method: Method, path: &str, kind: &str, body: Body) -> Result<Request<Body>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, JSON)
        .header(header::CONTENT_TYPE, kind)
        .body(body)
        .map_err(|e| Error::internal(format!("{path}: {e}")))
}

impl Endpoint {
    /// The value of the header `Host`.
    fn host(&self) -> String {
        match self {
            Self::Socket(_) => "localhost".into(),
            Self::Local(at) => at.to_string(),
            Self::Tls { at, .. } => at.clone(),
        }
    }

    async fn open(&self) -> std::io::Result<Stream> {
        Ok(match self {
            Self::Socket(path) => Stream::Socket(UnixStream::connect(path).await?),
            Self::Local(at) => Stream::Tcp(TcpStream::connect(at).await?),
            Self::Tls {
                at,
                name,
                config,
                mark,
            } => {
                let tcp = match mark {
                    Some(mark) => connect_marked(at, *mark).await?,
                    None => TcpStream::connect(at).await?,
                };
                tcp.set_nodelay(true)?;
                let connector = TlsConnector::from(config.clone());
                Stream::Tls(Box::new(connector.connect(name.clone(), tcp).await?))
            }
        })
    }
}

/// Connects with packets that have the mark from the first one on. If the mark is not
/// permitted, the connection has none, and the rules decide.
async fn connect_marked(at: &str, mark: u32) -> std::io::Result<TcpStream> {
    let address: SocketAddr = at.parse().map_err(std::io::Error::other)?;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let _ = SockRef::from(&socket).set_mark(mark);
    socket.connect(address).await
}

impl Server {
    /// # Errors
    /// Unavailable: no connection within the time limit.
    pub(crate) async fn connect(&self) -> Result<Stream> {
        let limit = self.limits.connect;
        timeout(limit, self.endpoint.open())
            .await
            .map_err(|_| self.unavailable(&format!("no connection within {} s", limit.as_secs())))?
            .map_err(|e| self.unavailable(&e))
    }

    /// Sends a request on a connection for it alone; returns the whole answer
    /// with any status.
    ///
    /// # Errors
    /// Unavailable: no connection, the answer broke off or is too long. Timeout.
    pub(crate) async fn call(&self, request: Request<Body>) -> Result<Answer> {
        let path = request.uri().path().to_owned();
        let limit = self.limits.answer;
        let work = self.exchange(request, |answer| self.read(answer));
        timeout(limit, work).await.map_err(|_| {
            let seconds = limit.as_secs();
            Error::timeout(format!(
                "{path}: no answer from {} in {seconds} s",
                self.name
            ))
        })?
    }

    /// Like `call`, without a time limit for the answer, which `receive` reads.
    ///
    /// # Errors
    /// Unavailable: no connection. Those of `receive`.
    pub(crate) async fn exchange<T, F: Future<Output = Result<T>>>(
        &self,
        request: Request<Body>,
        receive: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<T> {
        let stream = self.connect().await?;
        let (mut sender, connection) = self.http1(stream).await?;
        let work = async {
            let answer = self.send(&mut sender, request).await?;
            receive(answer).await
        };
        run_with_connection(connection, work).await
    }

    /// Starts HTTP/1.1 on a connection.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn http1(
        &self,
        stream: Stream,
    ) -> Result<(
        http1::SendRequest<Body>,
        impl Future<Output = hyper::Result<()>>,
    )> {
        http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.unavailable(&e))
    }

    /// Starts HTTP/2 on a connection. A PING is sent whenever the connection was
    /// idle for `interval`, and must be answered within `limit`, so that the
    /// loss of the server is detected.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn http2(
        &self,
        stream: Stream,
        interval: Duration,
        limit: Duration,
    ) -> Result<(Sender, impl Future<Output = hyper::Result<()>>)> {
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(interval)
            .keep_alive_timeout(limit)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.unavailable(&e))
    }

    /// Sends a request on an HTTP/1.1 connection.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn send(
        &self,
        sender: &mut http1::SendRequest<Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>> {
        let host = self.endpoint.host().parse().map_err(Error::internal)?;
        request.headers_mut().insert(header::HOST, host);
        sender.ready().await.map_err(|e| self.unavailable(&e))?;
        sender
            .send_request(request)
            .await
            .map_err(|e| self.unavailable(&e))
    }

    /// Reads an answer to its end.
    ///
    /// # Errors
    /// Unavailable: it broke off or is too long.
    pub(crate) async fn read(&self, answer: Response<Incoming>) -> Result<Answer> {
        let (head, body) = answer.into_parts();
        if body.size_hint().lower() > self.limits.bytes as u64 {
            return Err(self.unavailable(&"the answer is too long"));
        }
        let body = Limited::new(body, self.limits.bytes)
            .collect()
            .await
            .map_err(|e| self.unavailable(&format!("the answer broke off: {e}")))?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    pub(crate) fn unavailable(&self, e: &dyn std::fmt::Display) -> Error {
        Error::unavailable(format!("{}: {e}", self.name))
    }
}

/// Runs `work` to its end; polls `connection` as long as it lives.
pub(crate) async fn run_with_connection<T>(
    connection: impl Future,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(connection, work);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = &mut connection, if open => open = false,
        }
    }
}

/// Percent-encodes a query value or a part of a path.
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
