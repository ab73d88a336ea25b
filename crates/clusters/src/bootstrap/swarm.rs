//! Certificates of swarm nodes.

use kernel::{Ctx, Error, Result};
use nodewire::{CsrRequest, CsrResponse, Purpose};
use pki::SignOptions;
use std::net::Ipv4Addr;

use super::caller::NodeSession;
use crate::cluster::servers;
use crate::coe::kubernetes::profiles::Authority;
use crate::{ClustersDeps, certificate};

/// Signs the request of a node for the name and the addresses of its server,
/// whatever the request and the agent claim. The certificate is valid
/// for TLS servers only: as a client of the Docker API, a node would be root on
/// every manager. Only workers of earlier releases request one.
pub(super) async fn csr(
    d: &ClustersDeps,
    caller: &NodeSession,
    csr: &CsrRequest,
) -> Result<CsrResponse> {
    if csr.purpose != Purpose::Node {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a swarm.",
        ));
    }
    let ca = certificate::authorities::authority(d, &caller.cluster, Authority::Cluster).await?;
    let mut sans = vec![caller.node.name.clone()];
    if caller.node.is_master {
        sans.extend(["localhost".into(), "127.0.0.1".into()]);
    }
    sans.extend(server_addresses(d, caller).await?);
    let options = SignOptions {
        seconds: d.node_certificate_seconds,
        ..SignOptions::server(&caller.node.name, sans)
    };
    let cert = ca.sign_csr(&csr.csr, &options)?;
    Ok(CsrResponse {
        cert,
        ca: ca.cert_pem,
    })
}

/// The addresses that compute and network have given to the server of the node.
///
/// # Errors
/// Unavailable: the server has no address yet; the agent repeats its request.
async fn server_addresses(d: &ClustersDeps, caller: &NodeSession) -> Result<Vec<String>> {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &caller.cluster.project_id);
    let all = servers::of_cluster(d, &ctx, &caller.cluster).await?;
    let own = all.into_iter().find(|s| s.name == caller.node.name);
    let own = own.ok_or_else(|| Error::unavailable("The server of this node is not known."))?;
    if !own.addresses.is_empty() {
        return Ok(own.addresses.iter().map(Ipv4Addr::to_string).collect());
    }
    // A server has its ports before compute reports it as active.
    let ports = d.network.ports.of_device(&ctx, &own.id).await?;
    if ports.is_empty() {
        return Err(Error::unavailable("The server has no address yet."));
    }
    Ok(ports.iter().map(|p| p.ip.to_string()).collect())
}
