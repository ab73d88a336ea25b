//! One listening socket and its connections: HTTP/2 for agents with a session,
//! HTTP/1.1 for those of the previous release.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rest::limits::{Connection, Connections, TimedStream, serve_http1, serve_http2};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const ALPN_H2: &[u8] = b"h2";
/// The protocols that connections can use, the preferred one first.
pub const ALPN_PROTOCOLS: [&[u8]; 2] = [ALPN_H2, b"http/1.1"];

/// Delay before an address that does not exist yet is bound again.
const BIND_RETRY: Duration = Duration::from_millis(250);

/// Settings of all connections. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    pub acceptor: TlsAcceptor,
    pub router: Router,
    pub connections: Connections,
}

/// Binds the address as soon as it exists, which after a restart of the engine can be
/// later. Several servers on one machine can bind it. Returns `None` if the token is
/// cancelled first.
async fn bound(address: SocketAddr, token: &CancellationToken) -> Option<TcpListener> {
    let mut logged = false;
    loop {
        match rest::bind(address, true) {
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
    tracing::debug!(%address, "bootstrap listener");
    let stop = token.clone();
    let connections = serving.connections.clone();
    connections
        .accept(listener, token, move |stream, connection| {
            let (serving, stop) = (serving.clone(), stop.clone());
            async move {
                // The streams of agents never end by themselves, so a stop does not wait
                // for them.
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = serve(stream, connection, &serving) => {}
                }
            }
        })
        .await;
}

async fn serve(stream: TimedStream, connection: Arc<Connection>, serving: &Serving) {
    let accepted = connection.run(serving.acceptor.accept(stream)).await;
    let Some(Ok(tls)) = accepted else {
        return;
    };
    let router = serving.router.clone();
    if tls.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
        serve_http2(tls, connection, router).await;
    } else {
        serve_http1(tls, connection, router, CancellationToken::new()).await;
    }
}
