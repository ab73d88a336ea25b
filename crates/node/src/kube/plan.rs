//! Command lines of components: one table of flags per component, each flag
//! with the releases that support it. Pure.

mod admission;
mod tables;

use std::net::IpAddr;

use kernel::{Error, Result};
use nodewire::{KubePlan, Role};
use serde::Deserialize;

pub(crate) use admission::left_out;

/// Written by the recipe of the image: the release and the images that it
/// contains.
pub(crate) const IMAGE_FACTS: &str = "/etc/jeroboam/kubernetes.json";
pub(crate) const BIN: &str = "/usr/local/bin";
pub(crate) const ETC: &str = "/etc/kubernetes";
pub(crate) const PKI: &str = "/etc/kubernetes/pki";
/// Data directory of etcd, on a volume.
pub(crate) const ETCD_DATA: &str = "/var/lib/etcd/data";
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// The minor number of a 1.x release.
pub(crate) type Minor = u16;

/// Contents of the node image.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Image {
    /// `v1.36.3`.
    pub version: String,
    pub images: Images,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Images {
    pub pause: String,
    pub coredns: String,
}

impl Image {
    /// # Errors
    /// Invalid `image`: the text was not written by the recipe, or names no 1.x
    /// release.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid("image", format!("{IMAGE_FACTS}: {why}"));
        let image: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if minor(&image.version).is_none() {
            return Err(wrong(format!(
                "version '{}' is not of the form v1.36.3",
                image.version
            )));
        }
        Ok(image)
    }

    pub(crate) fn minor(&self) -> Minor {
        minor(&self.version).unwrap_or_default()
    }
}

fn minor(version: &str) -> Option<Minor> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}

/// containerd requires full image names.
pub(crate) fn full_name(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

/// A component that runs as a separate process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Component {
    Containerd,
    Etcd,
    Apiserver,
    ControllerManager,
    Scheduler,
    Kubelet,
    Proxy,
    /// Runs only on the balancer.
    Haproxy,
}

impl Component {
    /// The program's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::Haproxy => "haproxy",
        }
    }

    /// Path in the image.
    pub(crate) fn program(self) -> String {
        let dir = if self == Self::Haproxy {
            // From Debian.
            "/usr/sbin"
        } else {
            BIN
        };
        format!("{dir}/{}", self.name())
    }

    /// The step that starts it.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::ControllerManager | Self::Scheduler => "controllers",
            Self::Kubelet | Self::Proxy => "kubelet",
            Self::Haproxy => "balancer",
        }
    }
}

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
    /// All masters, ordered by name; with a single one etcd has no peers.
    pub members: Vec<Member>,
    /// Whether etcd had a quorum before, so that an empty directory joins.
    pub etcd_known: bool,
    /// Memory of this node and of the host, bytes.
    pub memory: Option<(u64, u64)>,
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

    /// The arguments of a component, in the order of its table, followed by the
    /// flags of the user: the last of two equal flags counts.
    pub(crate) fn arguments(&self, component: Component) -> Vec<String> {
        let label = match component {
            Component::Apiserver => "kubeapi_options",
            Component::ControllerManager => "kubecontroller_options",
            Component::Scheduler => "kubescheduler_options",
            Component::Kubelet => "kubelet_options",
            Component::Proxy => "kubeproxy_options",
            Component::Containerd | Component::Etcd | Component::Haproxy => "",
        };
        let theirs = self.plan.options.get(label).map_or("", String::as_str);
        tables::of(component)
            .iter()
            .filter(|flag| flag.releases.contains(&self.minor))
            .filter_map(|flag| {
                let value = (flag.value)(self)?;
                Some(format!("--{}={value}", flag.name))
            })
            .chain(theirs.split_whitespace().map(str::to_owned))
            .collect()
    }
}

/// containerd starts before the cluster is known.
pub(crate) fn arguments_of_containerd() -> Vec<String> {
    ["--config=/etc/containerd/config.toml", "--log-level=warn"]
        .map(str::to_owned)
        .to_vec()
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
    let theirs = ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|own| domain == *own || domain.ends_with(&format!(".{own}")));
    theirs && !ALLOWED.iter().any(|allowed| label.starts_with(allowed))
}

#[cfg(test)]
pub(crate) mod tests;
