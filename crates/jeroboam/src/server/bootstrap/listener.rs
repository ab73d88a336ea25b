//! One listening socket and its connections: HTTP/2 for agents with a session,
//! HTTP/1.1 for those of the previous release.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{Admitted, Limits, Refusal};

/// Timeout of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Timeout for the head of an HTTP/1.1 request.
const HEADERS: Duration = Duration::from_secs(15);
/// A PING is sent after this idle time and must be answered in time, so that
/// vanished agents are detected.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of concurrent streams of one agent.
const STREAMS: u32 = 64;
/// Maximum size of the headers of a request, bytes.
const HEADER_BYTES: u32 = 16 * 1024;
/// Delay before an address that does not exist yet is bound again.
const BIND_RETRY: Duration = Duration::from_millis(250);

/// Settings of all connections. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    pub acceptor: TlsAcceptor,
    pub router: Router,
    pub limits: Limits,
}

/// Several servers on one machine share the address (SO_REUSEPORT).
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Binds the address as soon as it exists, which may be later after a restart
/// of the engine. Returns `None` if the token is cancelled before.
async fn bound(address: SocketAddr, token: &CancellationToken) -> Option<TcpListener> {
    let mut logged = false;
    loop {
        match bind(address) {
            Ok(listener) => return Some(listener),
            Err(e) => {
                if !logged {
                    tracing::warn!(%address, error = %e, "bootstrap listener waits for its address");
                    logged = true;
                }
                tokio::select! {
                    biased;
                    () = token.cancelled() => return None,
                    () = tokio::time::sleep(BIND_RETRY) => {}
                }
            }
        }
    }
}

/// Serves an address until the token is cancelled; its connections end before
/// it returns.
pub async fn listen(address: SocketAddr, serving: Serving, token: CancellationToken) {
    let Some(listener) = bound(address, &token).await else {
        return;
    };
    let _counted = serving.limits.listening();
    tracing::debug!(%address, "bootstrap listener");
    let connections = TaskTracker::new();
    loop {
        let (stream, source) = tokio::select! {
            biased;
            () = token.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!(error = %e, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        match serving.limits.admit(source.ip()) {
            Ok(admitted) => {
                let (serving, token) = (serving.clone(), token.clone());
                connections.spawn(async move {
                    tokio::select! {
                        biased;
                        () = token.cancelled() => {}
                        () = serve(stream, &serving) => {}
                    }
                    drop::<Admitted>(admitted);
                });
            }
            // Closed immediately; the agent retries with increasing delays.
            Err(Refusal::Source(most)) => {
                tracing::debug!(%source, most, "too many connections from one address");
            }
            Err(Refusal::Total(most)) => {
                tracing::warn!(%source, most, "too many connections of agents");
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, serving: &Serving) {
    let _ = stream.set_nodelay(true);
    let accepted = tokio::time::timeout(HANDSHAKE, serving.acceptor.accept(stream)).await;
    let Ok(Ok(tls)) = accepted else {
        return;
    };
    let h2 = tls.get_ref().1.alpn_protocol() == Some(super::ALPN_H2);
    let service = TowerToHyperService::new(serving.router.clone());
    let io = TokioIo::new(tls);
    let done = if h2 {
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .serve_connection(io, service)
            .await
    } else {
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(io, service)
            .await
    };
    if let Err(e) = done {
        tracing::debug!(error = %e, "bootstrap connection");
    }
}
