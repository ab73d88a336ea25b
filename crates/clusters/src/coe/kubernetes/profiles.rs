//! Certificates by purpose: signing CA, subject and permitted roles. Only the
//! key of a request is used.

use std::net::{IpAddr, Ipv4Addr};

use kernel::{Error, Result};
use nodewire::Purpose;
use pki::{SignOptions, Subject};

use super::networks::Networks;

/// The three CAs of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    Cluster,
    Etcd,
    FrontProxy,
}

impl Authority {
    /// Parses Magnum's `ca_cert_type`; an unknown type means the CA of the
    /// cluster.
    pub(crate) fn parse(word: Option<&str>) -> Self {
        match word {
            Some("etcd") => Self::Etcd,
            Some("front-proxy" | "front_proxy") => Self::FrontProxy,
            _ => Self::Cluster,
        }
    }
}

/// The requesting node, and the state of the cluster that certificates depend
/// on.
#[derive(Debug, Clone)]
pub(crate) struct CertificateRequester<'a> {
    pub(crate) node: &'a str,
    pub(crate) master: bool,
    /// Addresses that the node reported; see [`trusted`].
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses of all masters and of the balancer.
    pub(crate) masters: Vec<IpAddr>,
    /// Host of the cluster's `api_address`, if set.
    pub(crate) api: Option<String>,
    pub(crate) networks: &'a Networks,
}

/// Filters the addresses in `claimed` that may be in a certificate of the node:
/// IP addresses that do not belong to another node, to services or to pods.
/// Such an address would allow the node to impersonate the API server.
pub(crate) fn trusted(claimed: &[String], others: &[IpAddr], networks: &Networks) -> Vec<IpAddr> {
    claimed
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !others.contains(ip))
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !networks.services.contains(v4) && !networks.pods.contains(v4),
            IpAddr::V6(_) => true,
        })
        .collect()
}

/// Returns the CA and the options for a purpose.
///
/// # Errors
/// Forbidden: only masters may request this purpose. Invalid: unknown purpose.
pub(crate) fn profile(
    purpose: Purpose,
    requester: &CertificateRequester<'_>,
) -> Result<(Authority, SignOptions)> {
    let everyone = matches!(purpose, Purpose::Kubelet | Purpose::KubeProxy);
    if matches!(purpose, Purpose::Node | Purpose::Unknown) {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a Kubernetes cluster.",
        ));
    }
    if !everyone && !requester.master {
        return Err(Error::forbidden("Only a master may have this certificate."));
    }
    let client = |subject: Subject| SignOptions {
        client_auth: true,
        ..SignOptions::machine(subject)
    };
    let node = requester.node;
    let own = requester.addresses.iter().map(IpAddr::to_string);
    Ok(match purpose {
        Purpose::Kubelet => (
            Authority::Cluster,
            SignOptions {
                server_auth: true,
                sans: std::iter::once(node.to_owned()).chain(own).collect(),
                ..client(Subject::member(
                    &format!("system:node:{node}"),
                    "system:nodes",
                ))
            },
        ),
        Purpose::Apiserver => (
            Authority::Cluster,
            SignOptions {
                server_auth: true,
                sans: apiserver_names(requester),
                ..SignOptions::machine(Subject::cn("kube-apiserver"))
            },
        ),
        Purpose::Etcd => (
            Authority::Etcd,
            SignOptions {
                server_auth: true,
                sans: [node, "localhost", "127.0.0.1"]
                    .into_iter()
                    .map(str::to_owned)
                    .chain(own)
                    .collect(),
                ..client(Subject::cn(node))
            },
        ),
        Purpose::EtcdClient => (
            Authority::Etcd,
            client(Subject::cn("kube-apiserver-etcd-client")),
        ),
        Purpose::FrontProxyClient => (
            Authority::FrontProxy,
            client(Subject::cn("front-proxy-client")),
        ),
        Purpose::KubeProxy => (Authority::Cluster, client(Subject::cn("system:kube-proxy"))),
        Purpose::ApiserverKubeletClient => (
            Authority::Cluster,
            client(Subject::member(
                "kube-apiserver-kubelet-client",
                "system:masters",
            )),
        ),
        Purpose::ControllerManager => (
            Authority::Cluster,
            client(Subject::cn("system:kube-controller-manager")),
        ),
        Purpose::Scheduler => (
            Authority::Cluster,
            client(Subject::cn("system:kube-scheduler")),
        ),
        // The common name contains the node, so that audit logs identify the
        // agent.
        Purpose::Admin | Purpose::Node | Purpose::Unknown => (
            Authority::Cluster,
            client(Subject::member(
                &format!("jeroboam:agent:{node}"),
                "system:masters",
            )),
        ),
    })
}

/// All names under which the API server is reached.
fn apiserver_names(requester: &CertificateRequester<'_>) -> Vec<String> {
    let domain = &requester.networks.domain;
    let mut out = vec![
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
        "localhost".to_owned(),
        requester.node.to_owned(),
        requester.networks.service_ip().to_string(),
        Ipv4Addr::LOCALHOST.to_string(),
    ];
    let addresses = requester.addresses.iter().chain(&requester.masters);
    for more in addresses
        .map(IpAddr::to_string)
        .chain(requester.api.clone())
    {
        if !out.contains(&more) {
            out.push(more);
        }
    }
    out
}
