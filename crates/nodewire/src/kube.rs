//! What only nodes of a Kubernetes cluster and the server say to each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Role;

/// What a node must know of its cluster before it starts anything.
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
    /// This node's part of it; never changes, never belongs to another node.
    /// Empty for a balancer.
    pub node_pod_cidr: String,
    /// Where the cluster's DNS forwards other names to.
    pub upstream_dns: Vec<String>,
    /// Whether ordinary pods keep off the masters.
    pub taint_masters: bool,
    /// The port of the API server.
    pub api_port: u16,
    /// How many masters there are to be; more than one: etcd has peers, and
    /// a balancer stands before them.
    pub masters: u32,
    /// Names of the members of an etcd that this master joins in place of a
    /// lost one, its own among them; empty: etcd begins with all masters.
    #[serde(default)]
    pub etcd_join: Vec<String>,
    /// Labels of the Node object.
    pub node_labels: BTreeMap<String, String>,
    /// The cluster's labels as the user gave them.
    pub options: BTreeMap<String, String>,
    /// PEM of the key that signs service account tokens; for masters only.
    #[serde(default)]
    pub service_account_key: Option<String>,
    /// PEM of the cluster's CA, for who may need it before or without a
    /// certificate: balancers, and masters.
    #[serde(default)]
    pub ca: Option<String>,
}

/// What a certificate is for; the server says name, groups and addresses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The TLS door of a node: the Docker API of a Swarm manager.
    #[default]
    Node,
    /// Client and server: `system:node:NAME` in `system:nodes`.
    Kubelet,
    KubeProxy,
    /// The rest is for masters only.
    Apiserver,
    ApiserverKubeletClient,
    ControllerManager,
    Scheduler,
    /// `system:masters`; the agent's own.
    Admin,
    /// Client and server, for peers too; by the etcd CA.
    Etcd,
    EtcdClient,
    /// By the front proxy CA.
    FrontProxyClient,
    /// From a newer agent.
    #[serde(other)]
    Unknown,
}

/// All nodes that have said hello. `GET peers?known=VERSION&wait=S`: 204
/// where nothing has changed after S seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Changes with the content.
    pub version: String,
    /// `address:port` where the API is reached, once it is known: the
    /// balancer's where there is to be one.
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

/// Something that a label asked to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addon {
    /// `coredns`, `metrics-server`, …
    pub name: String,
    /// `ready`, `pending`, `failed`.
    pub state: String,
    /// Why, for people; empty where there is nothing to say.
    #[serde(default)]
    pub reason: String,
}

impl std::fmt::Debug for KubePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubePlan")
            .field("node_pod_cidr", &self.node_pod_cidr)
            .finish_non_exhaustive()
    }
}
