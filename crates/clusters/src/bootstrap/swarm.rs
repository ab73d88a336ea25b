//! Certificates of swarm nodes.

use kernel::{Error, Result};
use nodewire::{CsrAsk, CsrGrant, Purpose};
use pki::SignOptions;

use super::ops::{NodeSession, require_master, server_addresses};
use crate::coe::kubernetes::profiles::Authority;
use crate::{ClustersDeps, certificate};

/// Signs the request of a manager for its TLS listener, for the addresses that
/// compute and network gave to its server, whatever its agent claims. The
/// certificate is for serving only: as a client of the Docker API, a node would
/// be root on every manager. Workers serve nothing and get none.
pub(super) async fn csr(d: &ClustersDeps, caller: &NodeSession, csr: &CsrAsk) -> Result<CsrGrant> {
    if csr.purpose != Purpose::Node {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a swarm.",
        ));
    }
    require_master(caller)?;
    let ca = certificate::authorities::authority(d, &caller.cluster, Authority::Cluster).await?;
    let mut sans = vec![
        caller.node.name.clone(),
        "localhost".into(),
        "127.0.0.1".into(),
    ];
    sans.extend(server_addresses(d, caller).await?);
    let options = SignOptions {
        seconds: d.node_certificate_seconds,
        ..SignOptions::server(&caller.node.name, sans)
    };
    let cert = ca.sign_csr(&csr.csr, &options)?;
    Ok(CsrGrant {
        cert,
        ca: ca.cert_pem,
    })
}
