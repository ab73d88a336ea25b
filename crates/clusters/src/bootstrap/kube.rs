//! Requests of Kubernetes nodes: the plan, certificates by purpose, and the
//! list of peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kernel::{Error, Result};
use nodewire::{CsrRequest, CsrResponse, KubePlan, Peer, Peers, Role};

use super::caller::NodeSession;
use crate::cluster::Cluster;
use crate::coe::kubernetes::networks::Networks;
use crate::coe::kubernetes::profiles::{self, Authority, CertificateRequester};
use crate::kube;
use crate::node::{Node, NodeBrief, NodeStatus, brief};
use crate::{ClustersDeps, certificate, tokens};

/// Builds the plan of a node. Only masters get the key of the service accounts.
pub(crate) async fn plan(
    d: &ClustersDeps,
    cluster: &Cluster,
    node: &Node,
    masters: usize,
) -> Result<KubePlan> {
    let kube = kube::table::load(&d.db, &cluster.uuid).await?;
    let key = if node.is_master {
        Some(kube.token_key(&d.sealer, &cluster.uuid)?)
    } else {
        None
    };
    let n = &kube.networks;
    Ok(KubePlan {
        cluster_domain: n.domain.clone(),
        service_cidr: n.services.to_string(),
        service_ip: n.service_ip().to_string(),
        dns_ip: n.dns.to_string(),
        pod_cidr: n.pods.to_string(),
        node_pod_cidr: node_pod_range(&node.name, node.is_balancer, node.pod_cidr.as_deref())?,
        upstream_dns: n.upstream_dns.clone(),
        taint_masters: true,
        api_port: n.api_port,
        masters: u32::try_from(masters).unwrap_or(u32::MAX),
        etcd_join: etcd_join(d, cluster, node).await?,
        node_labels: node_labels(cluster, node),
        options: cluster.labels.clone(),
        service_account_key: key,
        ca: if node.is_balancer || node.is_master {
            let which = Authority::Cluster;
            Some(
                certificate::authorities::authority(d, cluster, which)
                    .await?
                    .cert_pem,
            )
        } else {
            None
        },
    })
}

/// Returns the etcd members that a rebuilt master joins.
async fn etcd_join(d: &ClustersDeps, cluster: &Cluster, node: &Node) -> Result<Vec<String>> {
    if !node.is_master || node.fresh_sealed.is_none() {
        return Ok(Vec::new());
    }
    let nodes = brief::masters_and(&d.db, &cluster.uuid, &node.name).await?;
    let member = |n: &&NodeBrief| n.is_master && n.status.wanted() && n.status != NodeStatus::Lost;
    let members = nodes.iter().filter(|n| member(n) || n.id == node.id);
    Ok(members.map(|n| n.name.clone()).collect())
}

fn node_pod_range(name: &str, is_balancer: bool, pod_cidr: Option<&str>) -> Result<String> {
    if is_balancer {
        return Ok(String::new());
    }
    pod_cidr
        .map(str::to_owned)
        .ok_or_else(|| Error::internal(format!("node {name} has no pod range")))
}

/// Node labels as set by Magnum and as expected by Kubernetes tools.
fn node_labels(cluster: &Cluster, node: &Node) -> BTreeMap<String, String> {
    let role = if node.is_master { "master" } else { "worker" };
    let mut out = BTreeMap::from([
        ("magnum.openstack.org/role".to_owned(), role.to_owned()),
        (
            "magnum.openstack.org/nodegroup".to_owned(),
            node.nodegroup.clone(),
        ),
        (format!("node-role.kubernetes.io/{role}"), String::new()),
    ]);
    if node.is_master {
        let role = "node-role.kubernetes.io/control-plane";
        out.insert(role.to_owned(), String::new());
    }
    let zone = cluster.labels.get("availability_zone").map(|z| z.trim());
    if let Some(zone) = zone.filter(|z| !z.is_empty()) {
        out.insert("topology.kubernetes.io/zone".to_owned(), zone.to_owned());
    }
    out
}

/// Signs a certificate request for its purpose and ignores the requested name.
pub(crate) async fn csr(
    d: &ClustersDeps,
    caller: &NodeSession,
    ask: &CsrRequest,
) -> Result<CsrResponse> {
    let cluster = &caller.cluster;
    if caller.node.is_balancer {
        return Err(Error::forbidden("A balancer has no certificates."));
    }
    let kube = kube::table::load(&d.db, &cluster.uuid).await?;
    let nodes = brief::of_cluster(&d.db, &cluster.uuid).await?;
    let numbers = |of: &dyn Fn(&NodeBrief) -> bool| -> Vec<IpAddr> {
        let there = |n: &&NodeBrief| n.status != NodeStatus::Removed && of(n);
        nodes
            .iter()
            .filter(there)
            .flat_map(|n| profiles::trusted(&n.addresses, &[], &kube.networks))
            .collect()
    };
    // A certificate must not contain the address of another node. Addresses of
    // masters and of the balancer are reserved even if a worker claims them.
    let ours = |n: &NodeBrief| n.is_master || n.is_balancer;
    let others = numbers(&|n| n.id != caller.node.id && (ours(n) || !caller.node.is_master));
    let requester = CertificateRequester {
        node: &caller.node.name,
        master: caller.node.is_master,
        addresses: profiles::trusted(&caller.node.addresses, &others, &kube.networks),
        masters: numbers(&ours),
        api: cluster.api_address.as_deref().and_then(host),
        networks: &kube.networks,
    };
    let (which, mut options) = profiles::profile(ask.purpose, &requester)?;
    options.seconds = d.node_certificate_seconds;
    let ca = certificate::authorities::authority(d, cluster, which).await?;
    Ok(CsrResponse {
        cert: ca.sign_csr(&ask.csr, &options)?,
        ca: ca.cert_pem,
    })
}

/// The host of `https://HOST:PORT`.
fn host(address: &str) -> Option<String> {
    let rest = address.strip_prefix("https://")?;
    Some(rest.rsplit_once(':').map_or(rest, |(h, _)| h).to_owned())
}

/// Returns all registered nodes that were not removed.
pub(crate) fn peers(
    nodes: &[NodeBrief],
    api_address: Option<&str>,
    networks: &Networks,
) -> Result<Peers> {
    let present: Vec<(&NodeBrief, String)> = nodes
        .iter()
        // A node that is being rebuilt keeps its address.
        .filter(|n| n.session_hash.is_some() || n.is_fresh)
        .filter(|n| n.status != NodeStatus::Removed)
        .filter_map(|n| Some((n, address(n, networks)?)))
        .collect();
    let port = networks.api_port;
    // In a cluster with a balancer, no other address is the address of the API.
    let balanced = nodes.iter().any(|n| n.is_balancer);
    let front = present
        .iter()
        .find(|(n, _)| if balanced { n.is_balancer } else { n.is_master });
    let api = api_address
        .and_then(host)
        .or_else(|| front.map(|(_, address)| address.clone()))
        .map(|host| format!("{host}:{port}"));
    let peers: Result<Vec<Peer>> = present
        .iter()
        .map(|(n, address)| {
            Ok(Peer {
                node: n.name.clone(),
                role: role(n.is_master, n.is_balancer),
                address: address.clone(),
                pod_cidr: node_pod_range(&n.name, n.is_balancer, n.pod_cidr.as_deref())?,
            })
        })
        .collect();
    let mut found = Peers {
        version: String::new(),
        api,
        nodes: peers?,
    };
    found.version = tokens::digest(&serde_json::to_string(&found)?);
    found.version.truncate(16);
    Ok(found)
}

/// Converts the role to the wire type.
pub(crate) fn role(is_master: bool, is_balancer: bool) -> Role {
    match (is_master, is_balancer) {
        (true, _) => Role::Manager,
        (_, true) => Role::Balancer,
        _ => Role::Worker,
    }
}

/// Returns the etcd peer addresses of a master and of the lost masters, or
/// `None` if the master has not reported its address.
pub(crate) fn etcd_addresses<'a>(
    nodes: impl Iterator<Item = &'a NodeBrief> + Clone,
    networks: &Networks,
    name: &str,
) -> Option<(String, Vec<String>)> {
    let own = nodes.clone().find(|n| n.name == name);
    let own = own.and_then(|n| address(n, networks))?;
    let lost = nodes
        .filter(|n| n.is_master && n.status == NodeStatus::Lost)
        .filter_map(|n| address(n, networks));
    Some((own, lost.collect()))
}

/// The address at which other nodes reach this node.
fn address(n: &NodeBrief, networks: &Networks) -> Option<String> {
    profiles::trusted(&n.addresses, &[], networks)
        .first()
        .map(IpAddr::to_string)
}
