//! Messages between Kubernetes nodes and the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Role;
use crate::bounds::{self, Bounded, FieldError};

/// The data of the cluster that a node needs before it starts components.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubePlan {
    /// `cluster.local`.
    pub cluster_domain: String,
    pub service_cidr: String,
    /// First address of `service_cidr`: the service `kubernetes`.
    pub service_ip: String,
    pub dns_ip: String,
    /// Range of all pods.
    pub pod_cidr: String,
    /// The pod range of this node; never changes and is never shared. Empty for
    /// a balancer.
    pub node_pod_cidr: String,
    /// Upstream servers of the cluster DNS.
    pub upstream_dns: Vec<String>,
    /// Whether ordinary pods are not scheduled on the masters.
    pub taint_masters: bool,
    /// The port of the API server.
    pub api_port: u16,
    /// The number of masters; with more than one, etcd has peers and a balancer
    /// runs in front of them.
    pub masters: u32,
    /// Names of the members of an etcd that this rebuilt master joins,
    /// including its own; empty: etcd starts with all masters.
    #[serde(default)]
    pub etcd_join: Vec<String>,
    /// Labels of the Node object.
    pub node_labels: BTreeMap<String, String>,
    /// The labels of the cluster as given by the user.
    pub options: BTreeMap<String, String>,
    /// PEM of the key that signs service account tokens; only for masters.
    #[serde(default)]
    pub service_account_key: Option<String>,
    /// PEM of the cluster's CA, for nodes that need it without a certificate:
    /// balancers, and masters before they have one.
    #[serde(default)]
    pub ca: Option<String>,
}

/// The purpose of a certificate; the server determines name, groups and
/// addresses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The TLS server of a node: the Docker API of a Swarm manager.
    #[default]
    Node,
    /// Client and server: `system:node:NAME` in `system:nodes`.
    Kubelet,
    KubeProxy,
    /// The following purposes are for masters only.
    Apiserver,
    ApiserverKubeletClient,
    ControllerManager,
    Scheduler,
    /// `system:masters`, for the agent itself.
    Admin,
    /// Client and server, also for peers; signed by the etcd CA.
    Etcd,
    EtcdClient,
    /// Signed by the front proxy CA.
    FrontProxyClient,
    /// A purpose of a newer agent.
    #[serde(other)]
    Unknown,
}

/// All registered nodes. `GET peers?known=VERSION&wait=S`: 204 if nothing
/// changed within S seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Changes with the content.
    pub version: String,
    /// `address:port` of the API, once known: that of the balancer, if there is
    /// one.
    pub api: Option<String>,
    pub nodes: Vec<Peer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub node: String,
    pub role: Role,
    pub address: String,
    pub pod_cidr: String,
}

/// An add-on requested by a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addon {
    /// `coredns`, `metrics-server`, …
    pub name: String,
    /// `ready`, `pending`, `failed`.
    pub state: String,
    /// The reason, for display; may be empty.
    #[serde(default)]
    pub reason: String,
}

impl Bounded for KubePlan {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("cluster_domain", &self.cluster_domain, bounds::NAME)?;
        for (field, value) in [
            ("service_cidr", &self.service_cidr),
            ("service_ip", &self.service_ip),
            ("dns_ip", &self.dns_ip),
            ("pod_cidr", &self.pod_cidr),
            ("node_pod_cidr", &self.node_pod_cidr),
        ] {
            bounds::text(field, value, bounds::ADDRESS)?;
        }
        let upstream = &self.upstream_dns;
        bounds::texts("upstream_dns", upstream, bounds::NAMESERVERS, bounds::NAME)?;
        bounds::texts("etcd_join", &self.etcd_join, bounds::NODES, bounds::NAME)?;
        bounds::map("node_labels", &self.node_labels, bounds::NAME)?;
        bounds::map("options", &self.options, bounds::LABEL)?;
        let key = self.service_account_key.as_deref();
        bounds::optional("service_account_key", key, bounds::PEM)?;
        bounds::optional("ca", self.ca.as_deref(), bounds::BUNDLE)
    }
}

impl Bounded for Peers {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("version", &self.version, bounds::ID)?;
        bounds::optional("api", self.api.as_deref(), bounds::NAME_AND_PORT)?;
        bounds::each("nodes", &self.nodes, bounds::NODES)
    }
}

impl Bounded for Peer {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("node", &self.node, bounds::NAME)?;
        bounds::text("address", &self.address, bounds::ADDRESS)?;
        bounds::text("pod_cidr", &self.pod_cidr, bounds::ADDRESS)
    }
}

impl Bounded for Addon {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("name", &self.name, bounds::NAME)?;
        bounds::text("state", &self.state, bounds::WORD)?;
        bounds::text("reason", &self.reason, bounds::REASON)
    }
}

impl std::fmt::Debug for KubePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubePlan")
            .field("node_pod_cidr", &self.node_pod_cidr)
            .finish_non_exhaustive()
    }
}
