//! The state of a connection, which determines its timeout and whether it may be
//! evicted.

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::table::{Entry, Id, Refusal, Table};
use super::{Settings, Timeouts};

/// Shortest interval between two log lines about evicted connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of all listeners that share limits. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    settings: Settings,
    table: Mutex<Table>,
    listeners: AtomicUsize,
    logged: Mutex<Logged>,
}

/// What the last log line reported.
#[derive(Default)]
struct Logged {
    at: Option<Instant>,
    evicted: u64,
    refused: u64,
}

/// Current values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    pub listeners: usize,
    pub connections: usize,
    /// Total since the start.
    pub refused: u64,
    /// Total since the start.
    pub evicted: u64,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// The head of a request.
    Head,
    /// The first byte of the next request.
    Idle {
        authenticated: bool,
    },
    /// Like `Idle`, after a request of the client was refused.
    Refused,
    /// The body of a request, or its answer: they have timeouts elsewhere.
    Exchange,
}

/// An open connection.
pub struct Connection {
    inner: Arc<Inner>,
    id: Id,
    closed: CancellationToken,
    phase: watch::Sender<(Phase, Instant)>,
    /// Whether the phase is `Idle` or `Refused`; checked at each read of the socket.
    idle: AtomicBool,
    /// Whether the connection uses HTTP/2, which detects by PING that the peer is
    /// gone and therefore needs no timeout while an authenticated client is idle.
    http2: AtomicBool,
}

/// Counts a listener until it is dropped.
pub(crate) struct Listening(Arc<Inner>);

/// Counts a connection until it is dropped.
pub(crate) struct Admitted(pub(crate) Arc<Connection>);

impl Connections {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            table: Mutex::new(Table::new(&settings)),
            settings,
            listeners: AtomicUsize::new(0),
            logged: Mutex::default(),
        }))
    }

    #[must_use]
    pub fn figures(&self) -> ConnectionCounts {
        let listeners = self.0.listeners.load(Ordering::Relaxed);
        self.0.table(|table| ConnectionCounts {
            listeners,
            connections: table.len(),
            refused: table.refused,
            evicted: table.evicted,
        })
    }

    pub(crate) fn listening(&self) -> Listening {
        self.0.listeners.fetch_add(1, Ordering::Relaxed);
        Listening(self.0.clone())
    }

    /// Admits a connection, in place of another one if there are too many.
    ///
    /// # Errors
    /// All others are in use.
    pub(crate) fn admit(&self, source: IpAddr) -> Result<Admitted, Refusal> {
        let closed = CancellationToken::new();
        let proxies = &self.0.settings.proxies;
        let proxy = proxies.iter().any(|p| p.contains(&source.to_canonical()));
        let admitted = self
            .0
            .table(|table| table.admit(source, proxy, closed.clone()));
        self.log();
        Ok(Admitted(Arc::new(Connection {
            inner: self.0.clone(),
            id: admitted?,
            closed,
            phase: watch::Sender::new((Phase::Handshake, Instant::now())),
            idle: AtomicBool::new(false),
            http2: AtomicBool::new(false),
        })))
    }

    /// How long to wait before [`Connections::admit`].
    pub(crate) fn pause(&self) -> Duration {
        self.0.table(|table| table.pause())
    }

    /// Closes a connection that is not in use, because the process has no file
    /// descriptor left.
    pub(crate) fn evict_one(&self) {
        let _ = self.0.table(Table::evict_one);
        self.log();
    }

    /// Reports closed and refused connections, at most once in an interval.
    fn log(&self) {
        let counts = self.figures();
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if (counts.evicted, counts.refused) == (logged.evicted, logged.refused)
            || logged.at.is_some_and(|at| at.elapsed() < LOG_INTERVAL)
        {
            return;
        }
        tracing::warn!(
            listener = self.0.settings.name,
            connections = counts.connections,
            evicted = counts.evicted - logged.evicted,
            refused = counts.refused - logged.refused,
            "connections were closed or refused because there were too many"
        );
        *logged = Logged {
            at: Some(Instant::now()),
            evicted: counts.evicted,
            refused: counts.refused,
        };
    }
}

impl Inner {
    fn table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Connection {
    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.inner.settings.timeouts
    }

    /// Runs a step of the connection; `None` if the connection is evicted or a
    /// timeout ends first.
    pub async fn run<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            () = self.expired() => None,
            done = step => Some(done),
        }
    }

    /// A request is awaited from now on.
    pub(super) fn await_request(&self, http2: bool) {
        self.http2.store(http2, Ordering::Relaxed);
        self.change(Some(Phase::Head), |_| {});
    }

    /// Bytes were received.
    pub(super) fn received_bytes(&self) {
        if self.idle.swap(false, Ordering::Relaxed) {
            self.phase.send_replace((Phase::Head, Instant::now()));
        }
    }

    /// Whether the head of a request is awaited, of which some bytes may have
    /// been received.
    pub(super) fn awaits_head(&self) -> bool {
        self.phase.borrow().0 == Phase::Head
    }

    /// Begins a request whose head was received; `complete`: it has no body.
    pub(super) fn begin(self: &Arc<Self>, complete: bool) -> Exchange {
        self.change(None, |entry| entry.exchanges += 1);
        let exchange = Exchange {
            connection: self.clone(),
            received: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
        };
        if complete {
            exchange.received();
        }
        exchange
    }

    /// Changes the state. The phase follows from it, unless it is given.
    fn change(&self, phase: Option<Phase>, change: impl FnOnce(&mut Entry)) {
        let http2 = self.http2.load(Ordering::Relaxed);
        self.inner.table(|table| {
            table.update(self.id, |entry| {
                change(entry);
                let now = phase.unwrap_or_else(|| Phase::of(entry, http2));
                let idle = matches!(now, Phase::Idle { .. } | Phase::Refused);
                self.idle.store(idle, Ordering::Relaxed);
                self.phase.send_replace((now, Instant::now()));
            });
        });
    }

    /// Waits until the timeout of the current phase has passed.
    async fn expired(&self) {
        let mut phase = self.phase.subscribe();
        loop {
            let (now, since) = *phase.borrow_and_update();
            match now.timeout(&self.timeouts()) {
                None => {
                    let _ = phase.changed().await;
                }
                Some(timeout) => tokio::select! {
                    biased;
                    _ = phase.changed() => {}
                    () = tokio::time::sleep_until(since + timeout) => return,
                },
            }
        }
    }
}

impl Phase {
    fn of(entry: &Entry, http2: bool) -> Self {
        if entry.exchanges > 0 {
            Self::Exchange
        } else if entry.refused {
            Self::Refused
        } else {
            Self::Idle {
                authenticated: entry.authenticated && http2,
            }
        }
    }

    fn timeout(self, timeouts: &Timeouts) -> Option<Duration> {
        match self {
            Self::Handshake => Some(timeouts.handshake),
            Self::Head | Self::Refused => Some(timeouts.header),
            Self::Idle {
                authenticated: false,
            } => Some(timeouts.idle),
            Self::Idle {
                authenticated: true,
            }
            | Self::Exchange => None,
        }
    }
}

/// A request and its answer, until both are dropped.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    received: AtomicBool,
    timed_out: AtomicBool,
}

impl Exchange {
    pub(super) fn timeouts(&self) -> Timeouts {
        self.connection.timeouts()
    }

    /// The request was received completely.
    pub(super) fn received(&self) {
        if !self.received.swap(true, Ordering::Relaxed) {
            self.connection.change(None, |entry| {
                entry.received += 1;
                entry.served = true;
            });
        }
    }

    /// The body was not received in time.
    pub(super) fn time_out(&self) {
        self.timed_out.store(true, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// The status of the answer is known.
    pub(super) fn answered(&self, status: StatusCode) {
        if self.connection.settings().all_routes_authenticate {
            self.connection.change(None, |entry| {
                entry.authenticated |= status.is_success();
                entry.refused = !entry.authenticated && (entry.refused || status.is_client_error());
            });
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let received = *self.received.get_mut();
        self.connection.change(None, |entry| {
            entry.exchanges -= 1;
            entry.received -= u32::from(received);
        });
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Connection { inner, id, .. } = &*self.0;
        inner.table(|table| table.remove(*id));
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
