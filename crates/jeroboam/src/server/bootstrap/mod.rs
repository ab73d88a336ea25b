//! The bootstrap listener: TLS on the gateway address of each cluster network,
//! with bootstrap routes only. Nodes connect to it; listeners are opened and
//! closed with the networks. Each network needs a listening socket, because its
//! nodes reach no other address of this machine.

mod listener;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use flow::Tasks;
use rest::limits::Connections;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::installation::ListenerPem;
use listener::{ALPN_PROTOCOLS, Serving, listen};

/// The listener's identity: the seed of a node contains its fingerprint.
pub struct Identity {
    acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, hex.
    pub pin: String,
}

impl Identity {
    /// Parses the certificate that all servers of the installation share.
    pub fn open(pem: &ListenerPem) -> Result<Self> {
        let cert =
            CertificateDer::from_pem_slice(pem.cert.as_bytes()).context("bootstrap listener")?;
        let key =
            PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).context("bootstrap listener")?;
        let pin = pki::fingerprint_sha256(&cert);
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)?;
        config.alpn_protocols = ALPN_PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pin,
        })
    }

    /// Keeps one listener for each existing gateway address, and one for each
    /// address in `always`.
    pub fn start(
        self,
        router: Router,
        addresses: Addresses,
        connections: Connections,
        tasks: &Tasks,
    ) {
        let serving = Serving {
            acceptor: self.acceptor,
            router,
            connections,
        };
        let inner = tasks.clone();
        tasks.spawn("bootstrap listeners", async move {
            follow(serving, addresses, &inner).await;
        });
    }
}

/// Addresses of the listeners.
pub struct Addresses {
    pub always: Vec<SocketAddr>,
    pub port: u16,
    pub gateways: watch::Receiver<BTreeSet<Ipv4Addr>>,
}

async fn follow(serving: Serving, mut at: Addresses, tasks: &Tasks) {
    let stop = tasks.token();
    let mut running: BTreeMap<SocketAddr, CancellationToken> = BTreeMap::new();
    loop {
        let mut wanted: BTreeSet<SocketAddr> = at.always.iter().copied().collect();
        let gateways = at.gateways.borrow_and_update().clone();
        wanted.extend(
            gateways
                .into_iter()
                .map(|ip| SocketAddr::from((ip, at.port))),
        );
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
                let (serving, own) = (serving.clone(), token.clone());
                tasks.spawn("bootstrap listener", listen(address, serving, own));
                token
            });
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = at.gateways.changed() => if changed.is_err() { return },
        }
    }
}
