//! Certificates of swarm nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kernel::{Error, Result};
use nodewire::{CsrAsk, CsrGrant, Purpose};
use pki::SignOptions;

use super::caller::{NodeSession, require_master};
use crate::coe::kubernetes::profiles::Authority;
use crate::node::{NodeStatus, brief};
use crate::{ClustersDeps, certificate};

/// Signs the request of a manager for its TLS listener. The certificate is
/// valid for clients too, so with one a worker could use the Docker API of a
/// manager.
pub(super) async fn csr(d: &ClustersDeps, caller: &NodeSession, csr: &CsrAsk) -> Result<CsrGrant> {
    if csr.purpose != Purpose::Node {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a swarm.",
        ));
    }
    require_master(caller)?;
    let ca = certificate::ops::authority(d, &caller.cluster, Authority::Cluster).await?;
    let mut sans = vec![
        caller.node.name.clone(),
        "localhost".into(),
        "127.0.0.1".into(),
    ];
    sans.extend(own_addresses(d, caller).await?);
    let options = SignOptions {
        seconds: d.node_certificate_seconds,
        ..SignOptions::node(&caller.node.name, sans)
    };
    let cert = ca.sign_csr(&csr.csr, &options)?;
    Ok(CsrGrant {
        cert,
        ca: ca.cert_pem,
    })
}

/// The reported addresses of a manager, without host names and without the
/// addresses of other managers, because a certificate must not be valid for
/// another node.
async fn own_addresses(d: &ClustersDeps, caller: &NodeSession) -> Result<Vec<String>> {
    let nodes = brief::of_cluster(&d.db, &caller.cluster.uuid).await?;
    let others: BTreeSet<&String> = nodes
        .iter()
        .filter(|n| n.is_master && n.id != caller.node.id && n.status != NodeStatus::Removed)
        .flat_map(|n| &n.addresses)
        .collect();
    let own = caller.node.addresses.iter();
    Ok(own
        .filter(|a| a.parse::<IpAddr>().is_ok() && !others.contains(a))
        .cloned()
        .collect())
}
