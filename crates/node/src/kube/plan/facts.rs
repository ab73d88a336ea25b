//! All inputs of flags and files.

use std::net::IpAddr;

use nodewire::{KubePlan, Role};

/// The minor number of a 1.x release.
pub(crate) type Minor = u16;

/// A member of etcd: name and address of a master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub name: String,
    pub address: String,
}

/// All inputs of flags and files.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub node: String,
    pub cluster: String,
    pub own: IpAddr,
    pub role: Role,
    pub minor: Minor,
    pub plan: KubePlan,
    /// `address:port` of the API for this node.
    pub api: String,
    /// The members of etcd, ordered by name. Empty if there is a single master.
    pub members: Vec<Member>,
    /// Whether the etcd cluster exists, so that a member with an empty directory
    /// joins it.
    pub etcd_known: bool,
    /// Memory of this node and of the host, bytes.
    pub memory: Option<(u64, u64)>,
    /// Whether root of this node is another user on the host.
    pub in_user_namespace: bool,
}

impl Facts {
    /// The labels of the node that its kubelet may set, as `key=value`.
    pub(crate) fn own_labels(&self) -> Vec<String> {
        let own = self.plan.node_labels.iter();
        own.filter(|(key, _)| !is_restricted(key))
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    pub(crate) fn is_master(&self) -> bool {
        self.role == Role::Manager
    }

    pub(crate) fn several_masters(&self) -> bool {
        self.plan.masters > 1
    }
}

/// Whether only a master's agent may set the label, not the kubelet.
pub(crate) fn is_restricted(label: &str) -> bool {
    const ALLOWED: [&str; 3] = [
        "kubelet.kubernetes.io/",
        "node.kubernetes.io/",
        "topology.kubernetes.io/",
    ];
    let Some((domain, _)) = label.split_once('/') else {
        return false;
    };
    let is_reserved = ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|own| domain == *own || domain.ends_with(&format!(".{own}")));
    is_reserved && !ALLOWED.iter().any(|allowed| label.starts_with(allowed))
}
