//! The listener.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{Connection, Connections, TimedStream, serve_http1};

/// Delay after a failed `accept`, which fails again at once while there are no
/// file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Maximum number of connections that wait for `accept`; the system permits
/// fewer (`net.core.somaxconn`). A client whose connection finds no place waits
/// for a second before it tries again.
const BACKLOG: u32 = 4096;

/// Binds an address. With `shared`, several servers on one machine may bind it
/// (SO_REUSEPORT).
///
/// # Errors
/// The address does not exist or is in use.
pub fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Connections {
    /// Serves HTTP/1.1 until `token` is cancelled, then lets running requests
    /// end.
    pub async fn serve(&self, listener: TcpListener, router: Router, token: CancellationToken) {
        let stop = token.clone();
        self.accept(listener, token, move |stream, connection| {
            serve_http1(stream, connection, router.clone(), stop.clone())
        })
        .await;
    }

    /// Runs `serve` for each connection that is admitted until `token` is
    /// cancelled, then waits until all of them have ended.
    pub async fn accept<S, F>(&self, listener: TcpListener, token: CancellationToken, serve: S)
    where
        S: Fn(TimedStream, Arc<Connection>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let listening = self.listening();
        let running = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = token.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, source) = match accepted {
                Ok(accepted) => accepted,
                // The peer has closed the connection already.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => {
                    tracing::debug!(error = %e, "accept");
                    self.evict_one();
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let pause = self.pause();
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            // A refused connection is closed immediately; clients try again.
            if let Ok(admitted) = self.admit(source.ip()) {
                let _ = stream.set_nodelay(true);
                let connection = admitted.0.clone();
                let served = serve(TimedStream::new(stream, connection.clone()), connection);
                running.spawn(async move {
                    served.await;
                    drop(admitted);
                });
            }
        }
        drop((listener, listening));
        running.close();
        running.wait().await;
    }
}
