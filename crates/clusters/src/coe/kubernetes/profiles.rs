//! Certificates by purpose: which authority signs, for which name, for whom.
//! Nothing of a request counts but its key.

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
    /// By Magnum's `ca_cert_type`; what is not known means the cluster's.
    pub(crate) fn parse(word: Option<&str>) -> Self {
        match word {
            Some("etcd") => Self::Etcd,
            Some("front-proxy" | "front_proxy") => Self::FrontProxy,
            _ => Self::Cluster,
        }
    }
}

/// Who asks, and what the cluster looks like to the server.
#[derive(Debug, Clone)]
pub(crate) struct Asker<'a> {
    pub(crate) node: &'a str,
    pub(crate) master: bool,
    /// What the node says of itself; see [`trusted`].
    pub(crate) addresses: Vec<IpAddr>,
    /// Of all masters, and of the balancer before them.
    pub(crate) masters: Vec<IpAddr>,
    /// Host of the cluster's `api_address`, once it has one.
    pub(crate) api: Option<String>,
    pub(crate) networks: &'a Networks,
}

/// The addresses among `claimed` that a node may have in a certificate:
/// numbers, and none that belongs to another node, to services or to pods.
/// With such a name it could pass for the API server.
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

/// Authority and options for a purpose.
///
/// # Errors
/// Forbidden: only a master may have it. Invalid: no such purpose here.
pub(crate) fn profile(purpose: Purpose, asker: &Asker<'_>) -> Result<(Authority, SignOptions)> {
    let everyone = matches!(purpose, Purpose::Kubelet | Purpose::KubeProxy);
    if matches!(purpose, Purpose::Node | Purpose::Unknown) {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a Kubernetes cluster.",
        ));
    }
    if !everyone && !asker.master {
        return Err(Error::forbidden("Only a master may have this certificate."));
    }
    let client = |subject: Subject| SignOptions {
        client_auth: true,
        ..SignOptions::machine(subject)
    };
    let node = asker.node;
    let own = asker.addresses.iter().map(IpAddr::to_string);
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
                sans: apiserver_names(asker),
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
        // The node in the name: audit logs tell whose agent it was.
        Purpose::Admin | Purpose::Node | Purpose::Unknown => (
            Authority::Cluster,
            client(Subject::member(
                &format!("jeroboam:agent:{node}"),
                "system:masters",
            )),
        ),
    })
}

/// Every name under which the API server is called.
fn apiserver_names(asker: &Asker<'_>) -> Vec<String> {
    let domain = &asker.networks.domain;
    let mut out = vec![
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
        "localhost".to_owned(),
        asker.node.to_owned(),
        asker.networks.service_ip().to_string(),
        Ipv4Addr::LOCALHOST.to_string(),
    ];
    let addresses = asker.addresses.iter().chain(&asker.masters);
    for more in addresses.map(IpAddr::to_string).chain(asker.api.clone()) {
        if !out.contains(&more) {
            out.push(more);
        }
    }
    out
}
