//! The bootstrap listener: TLS on the gateway address of each cluster network,
//! bootstrap routes only. Nodes dial it; it comes and goes with the networks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use flow::Tasks;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::installation::ListenerPem;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The listener's identity: nodes are given its fingerprint in their seed.
pub struct Identity {
    acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, hex.
    pub pin: String,
}

impl Identity {
    /// Reads the certificate that all servers of the installation share.
    pub fn open(pem: &ListenerPem) -> Result<Self> {
        let cert =
            CertificateDer::from_pem_slice(pem.cert.as_bytes()).context("bootstrap listener")?;
        let key =
            PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).context("bootstrap listener")?;
        let pin = pki::fingerprint_sha256(&cert);
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pin,
        })
    }

    /// Follows the gateways: one listener for each that is there.
    pub fn start(
        self,
        router: Router,
        port: u16,
        gateways: watch::Receiver<BTreeSet<Ipv4Addr>>,
        tasks: &Tasks,
    ) {
        let inner = tasks.clone();
        tasks.spawn("bootstrap listeners", async move {
            follow(self.acceptor, router, port, gateways, &inner).await;
        });
    }
}

async fn follow(
    acceptor: TlsAcceptor,
    router: Router,
    port: u16,
    mut gateways: watch::Receiver<BTreeSet<Ipv4Addr>>,
    tasks: &Tasks,
) {
    let stop = tasks.token();
    let mut running: BTreeMap<Ipv4Addr, CancellationToken> = BTreeMap::new();
    loop {
        let wanted = gateways.borrow_and_update().clone();
        running.retain(|address, token| {
            let keep = wanted.contains(address);
            if !keep {
                token.cancel();
            }
            keep
        });
        for address in wanted {
            running.entry(address).or_insert_with(|| {
                let token = stop.child_token();
                let (acceptor, router, own) = (acceptor.clone(), router.clone(), token.clone());
                tasks.spawn("bootstrap listener", async move {
                    listen(SocketAddr::from((address, port)), acceptor, router, own).await;
                });
                token
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = gateways.changed() => if changed.is_err() { return },
        }
    }
}

/// Several servers on one machine share the address (reuse_port).
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn listen(
    address: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    token: CancellationToken,
) {
    // After a restart of the engine the address may be there a moment later.
    let mut told = false;
    let listener = loop {
        match bind(address) {
            Ok(listener) => break listener,
            Err(e) => {
                if !told {
                    tracing::warn!(%address, error = %e, "bootstrap listener waits for its address");
                    told = true;
                }
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(250)) => {}
                }
            }
        }
    };
    tracing::debug!(%address, "bootstrap listener");
    let connections = tokio_util::task::TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = token.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!(error = %e, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (acceptor, router, token) = (acceptor.clone(), router.clone(), token.clone());
        connections.spawn(async move {
            let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                return;
            };
            let server =
                hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http1_only();
            let serve =
                server.serve_connection(TokioIo::new(tls), TowerToHyperService::new(router));
            tokio::select! {
                () = token.cancelled() => {}
                done = serve => if let Err(e) = done {
                    tracing::debug!(error = %e, "bootstrap connection");
                },
            }
        });
    }
    connections.close();
    connections.wait().await;
}
