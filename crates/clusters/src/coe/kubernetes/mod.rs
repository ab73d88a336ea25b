//! Kubernetes: masters with API server and etcd, workers, a pod range for
//! each node.

pub(crate) mod flavour;
pub(crate) mod health;
pub(crate) mod hints;
pub(crate) mod labels;
pub(crate) mod networks;
mod options;
pub(crate) mod profiles;
pub(crate) mod render;

use kernel::Result;

use crate::errors::bad;
use crate::template::Template;

/// Distributions of `os_distro` whose images hold the node agent, or can be
/// given it.
pub(crate) const DISTROS: &[&str] = &["debian", "k3s"];

/// Port of the API server, unless the template says another.
pub(crate) const API_PORT: u16 = 6443;

/// MiB of memory below which no master comes up: API server, etcd and
/// controllers take 500, and the system needs some.
pub(crate) const MASTER_RAM: u64 = 1024;

/// The same for a worker: containerd, kubelet and kube-proxy take 80, the
/// images that a node brings along as much again while they are unpacked.
pub(crate) const WORKER_RAM: u64 = 256;

/// Seconds that a node gets to let its pods go.
const DRAIN_SECONDS: i64 = 120;

/// Ports of the nodes that the API server cannot have.
const TAKEN: &[i64] = &[2379, 2380, 10248, 10249, 10250, 10256, 10257, 10259];

pub(crate) fn check_template(template: &Template) -> Result<()> {
    if template.tls_disabled {
        return Err(bad(
            "tls_disabled",
            "tls_disabled: the kubernetes driver serves the API with TLS only; leave it unset.",
        ));
    }
    if template.docker_storage_driver.as_deref() == Some("devicemapper") {
        return Err(bad(
            "docker_storage_driver",
            "docker_storage_driver: devicemapper is not supported by the kubernetes driver; \
             leave it unset or choose overlay2.",
        ));
    }
    if let Some(port) = template.apiserver_port
        && (TAKEN.contains(&port) || (30000..=32767).contains(&port))
    {
        return Err(bad(
            "apiserver_port",
            format!(
                "apiserver_port: {port} is used by another part of Kubernetes; choose 6443 or a \
                 free one."
            ),
        ));
    }
    labels::check(&template.labels, template.network_driver.as_deref())
}

/// Seconds that a drain may last: the label `node_drain_timeout`.
pub(crate) fn drain_seconds(labels: &std::collections::BTreeMap<String, String>) -> i64 {
    labels
        .get("node_drain_timeout")
        .and_then(|v| v.trim().parse().ok())
        .filter(|s| *s > 0)
        .unwrap_or(DRAIN_SECONDS)
}
