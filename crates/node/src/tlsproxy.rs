//! The Docker API of managers: TLS on 2376 with the cluster's CA, forwarded to
//! the socket of the engine. TLS is terminated here instead of in dockerd, so
//! that certificates change without a restart of the engine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::{Error, Result};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::identity::Identity;
use crate::report::log_line;

pub(crate) const LISTEN: &str = "0.0.0.0:2376";
/// Maximum number of clients; further ones wait, because each uses two
/// descriptors and a thread of the engine.
const MAX_CLIENTS: usize = 512;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The current certificates; a new value replaces them.
pub(crate) type Certificates = watch::Sender<InForce>;

/// Configuration of new connections.
#[derive(Clone)]
pub(crate) struct InForce {
    config: Arc<ServerConfig>,
    /// Incremented with each rotation of the CA.
    rotation: u32,
}

impl InForce {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        let rotation = 0;
        Self { config, rotation }
    }
}

/// Switches to another CA and closes connections of clients of the old one.
pub(crate) fn rotate(certificates: &Certificates, config: Arc<ServerConfig>) {
    certificates.send_modify(|now| {
        now.config = config;
        now.rotation += 1;
    });
}

/// Renews the certificate under the same CA; connections stay.
pub(crate) fn renew(certificates: &Certificates, config: Arc<ServerConfig>) {
    certificates.send_modify(|now| now.config = config);
}

/// The TLS configuration of an identity. Clients need a certificate of the CA.
///
/// # Errors
/// Invalid `certificate`: a part of the identity is unusable.
pub(crate) fn config(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let wrong = |what: &str, e: &dyn std::fmt::Display| {
        Error::invalid("certificate", format!("the {what} cannot be used: {e}"))
    };
    let chain = CertificateDer::pem_slice_iter(identity.cert.as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| wrong("certificate", &e))?;
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|e| wrong("key", &e))?;
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(identity.ca.as_bytes()) {
        let ca = ca.map_err(|e| wrong("CA", &e))?;
        roots.add(ca).map_err(|e| wrong("CA", &e))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| wrong("CA", &e))?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map(Arc::new)
        .map_err(|e| wrong("certificate", &e))
}

/// Binds the port; the listener is open when this returns.
///
/// # Errors
/// Unavailable: the port is in use.
pub(crate) async fn bind(listen: &str) -> Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .map_err(|e| Error::unavailable(format!("listening on {listen}: {e}")))
}

/// Serves until dropped. A rotation closes earlier connections, because it
/// revokes access.
pub(crate) async fn serve(
    listener: TcpListener,
    certificates: watch::Receiver<InForce>,
    socket: &Path,
) {
    let client_slots = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(permit) = client_slots.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let (certificates, socket) = (certificates.clone(), socket.to_owned());
                clients.spawn(async move {
                    client(tcp, peer, certificates, socket).await;
                    drop(permit);
                });
            }
            // Out of descriptors: existing clients must disconnect first.
            Err(e) => {
                log_line(format_args!("tls: accepting: {e}"));
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn client(
    tcp: TcpStream,
    peer: SocketAddr,
    mut certificates: watch::Receiver<InForce>,
    socket: PathBuf,
) {
    let InForce { config, rotation } = certificates.borrow_and_update().clone();
    let _ = tcp.set_nodelay(true);
    let mut tls = match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(tcp)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(e)) => return log_line(format_args!("tls: {peer}: {e}")),
        Err(_) => return log_line(format_args!("tls: {peer}: no handshake in 10 s")),
    };
    let mut engine = match UnixStream::connect(&socket).await {
        Ok(engine) => engine,
        Err(e) => return log_line(format_args!("tls: {peer}: the engine: {e}")),
    };
    tokio::select! {
        // Half-closed connections matter: `docker exec -i` closes its input
        // first.
        _ = copy_bidirectional(&mut tls, &mut engine) => {}
        _ = certificates.wait_for(|now| now.rotation != rotation) => {}
    }
}

#[cfg(test)]
mod tests;
