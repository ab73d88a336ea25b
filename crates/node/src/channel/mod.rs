//! The connection to the server: one HTTP/2 connection to one address, verified
//! only by the fingerprint of the certificate. [`Channel::run`] maintains it;
//! all requests wait for it.

mod frames;
mod link;
mod protocol_v1;
mod task_stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode, header};
use kernel::{Error, Kind, Result};
use nodewire::bounds::{SENT_TEXT, display_text};
use nodewire::{Hello, JoinTicket, Peers, Problem, SESSION_PREFIX, Seed, Welcome};
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub(crate) use task_stream::RunningTask;

use crate::http::{self, Endpoint, JSON, Limits, Sender, Server, tls};

/// Timeout of a request, including the wait for a connection.
const ANSWER: Duration = Duration::from_secs(15);
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    answer: ANSWER,
    bytes: 1024 * 1024,
};

/// A client of the bootstrap routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    server: Server,
    /// The header that authenticates this node.
    bearer: String,
    /// The `hello` of each session, set once the address of this node is known.
    hello: watch::Sender<Option<Hello>>,
    state: watch::Sender<State>,
    ticket: watch::Sender<Option<JoinTicket>>,
    peers: watch::Sender<Option<Peers>>,
    /// The running tasks by id; true is sent to a task that the server cancels.
    running: Mutex<BTreeMap<String, watch::Sender<bool>>>,
}

/// State of the connection.
#[derive(Clone)]
enum State {
    Down,
    Up(Box<Up>),
    /// Refused permanently: no further attempts.
    Refused(Error),
}

#[derive(Clone)]
struct Up {
    sender: Sender,
    welcome: Welcome,
}

impl Channel {
    /// # Errors
    /// Invalid `seed`: malformed server address.
    pub(crate) fn new(seed: &Seed, session: &str) -> Result<Self> {
        let address: SocketAddr = seed
            .server
            .parse()
            .map_err(|_| Error::invalid("seed", "server is not an address with a port"))?;
        let name = address.to_string();
        let endpoint = Endpoint::Tls {
            at: name.clone(),
            name: ServerName::IpAddress(address.ip().into()),
            config: tls::pinned(&seed.pin)?,
            mark: Some(http::MARK),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                address,
                server: Server {
                    endpoint,
                    name,
                    limits: LIMITS,
                },
                bearer: format!("Bearer {session}"),
                hello: watch::channel(None).0,
                state: watch::channel(State::Down).0,
                ticket: watch::channel(None).0,
                peers: watch::channel(None).0,
                running: Mutex::default(),
            }),
        })
    }

    /// The server's address.
    pub(crate) fn server(&self) -> SocketAddr {
        self.inner.address
    }

    /// Registers this node for this and each following connection; returns its
    /// role.
    ///
    /// # Errors
    /// The permanent refusal of the server.
    pub(crate) async fn hello(&self, hello: Hello) -> Result<Welcome> {
        self.inner.hello.send_replace(Some(hello));
        self.up().await.map(|up| up.welcome)
    }

    /// Waits until the server sends the join secrets.
    ///
    /// # Errors
    /// Same errors as [`Channel::hello`].
    pub(crate) async fn ticket(&self) -> Result<JoinTicket> {
        let mut ticket = self.inner.ticket.subscribe();
        let mut state = self.inner.state.subscribe();
        let is_sent = |t: &Option<JoinTicket>| t.is_some();
        let refused = |s: &State| matches!(s, State::Refused(_));
        loop {
            tokio::select! {
                found = ticket.wait_for(is_sent) => {
                    if let Some(ticket) = found.ok().and_then(|t| t.clone()) {
                        return Ok(ticket);
                    }
                }
                _ = state.wait_for(refused) => {}
            }
            if let State::Refused(e) = &*state.borrow() {
                return Err(e.clone());
            }
        }
    }

    /// The nodes of the cluster, as pushed by the server.
    pub(crate) fn peers(&self) -> watch::Receiver<Option<Peers>> {
        self.inner.peers.subscribe()
    }

    /// Sets the peers of an earlier boot: the server sends peers only if they
    /// have changed.
    pub(crate) fn set_known_peers(&self, peers: Option<Peers>) {
        self.inner.peers.send_replace(peers);
    }

    /// Posts a body; `None` if the answer is 204.
    ///
    /// # Errors
    /// Unauthenticated and Forbidden: refused permanently. Unavailable,
    /// Timeout: a retry may succeed. Others as answered by the server.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<T>> {
        let body = serde_json::to_vec(body)?;
        let server = &self.inner.server;
        let work = async {
            let mut up = self.up().await?;
            let answer = self.send(&mut up.sender, Method::POST, path, body).await?;
            let body = server.read(answer).await?.body;
            if body.is_empty() {
                return Ok(None);
            }
            serde_json::from_slice(&body)
                .map(Some)
                .map_err(|e| Error::unavailable(format!("{path}: answer not understood: {e}")))
        };
        let late = |_| Error::timeout(format!("{} did not answer in time", server.name));
        tokio::time::timeout(ANSWER, work).await.map_err(late)?
    }

    /// Waits for a session.
    async fn up(&self) -> Result<Up> {
        let mut state = self.inner.state.subscribe();
        let decided = |s: &State| !matches!(s, State::Down);
        // `self` holds the sender, so the channel cannot close.
        let found = state.wait_for(decided).await.map_err(Error::internal)?;
        match &*found {
            State::Up(up) => Ok(up.as_ref().clone()),
            State::Refused(e) => Err(e.clone()),
            State::Down => Err(Error::internal("no session")),
        }
    }

    /// Sends a request on a connection; the body of the answer is not read yet.
    async fn send(
        &self,
        sender: &mut Sender,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let server = &self.inner.server;
        // HTTP/2 has no header `Host`: the URI names the server.
        let uri = format!("https://{}{SESSION_PREFIX}/{path}", server.name);
        let mut request = http::request(method, &uri, JSON, http::full(body))?;
        let bearer = self.inner.bearer.parse().map_err(Error::internal)?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|e| server.unavailable(&e))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let answer = server.read(answer).await?;
        Err(refusal(path, answer.status, &answer.body))
    }
}

/// Converts an unsuccessful answer into an error.
fn refusal(path: &str, status: StatusCode, body: &[u8]) -> Error {
    let message = serde_json::from_slice::<Problem>(body)
        .map(|p| display_text(&p.error, SENT_TEXT))
        .unwrap_or_else(|_| format!("HTTP {status}"));
    let kind = match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        409 => Kind::Conflict,
        400 | 422 => Kind::Invalid {
            field: path.to_owned(),
        },
        426 => Kind::NotSupported { status: 426 },
        _ => Kind::Unavailable { retry_after: 1 },
    };
    Error::new(kind, message)
}

/// Whether the server refused this node permanently.
pub(crate) fn is_refusal(e: &Error) -> bool {
    matches!(e.kind, Kind::Unauthenticated | Kind::Forbidden)
}

/// Whether there is no common protocol version.
pub(crate) fn is_unsupported(e: &Error) -> bool {
    matches!(e.kind, Kind::NotSupported { .. })
}
