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
use std::time::Duration;

pub(crate) use networks::API_PORT;

use crate::coe::options::TemplateOptions;
use crate::errors::bad_request;
use crate::ranges::RangePools;

/// Values of `os_distro` whose images contain the node agent or can receive it.
pub(crate) const DISTROS: &[&str] = &["debian", "k3s"];

/// Minimum memory of a master, MiB: API server, etcd and controllers use 500,
/// and the system needs some more.
pub(crate) const MASTER_RAM: u64 = 1024;

/// Minimum memory of a worker, MiB: containerd, kubelet and kube-proxy use 80,
/// and unpacking the images of the node needs about the same again.
pub(crate) const WORKER_RAM: u64 = 256;

/// Default time limit of a drain.
const DRAIN_LIMIT: Duration = Duration::from_mins(2);

/// Ports of the nodes that the API server cannot use.
const RESERVED_PORTS: &[i64] = &[2379, 2380, 10248, 10249, 10250, 10256, 10257, 10259];

pub(crate) fn check_template(template: &TemplateOptions<'_>, ranges: &RangePools) -> Result<()> {
    if template.tls_disabled {
        return Err(bad_request(
            "tls_disabled",
            "tls_disabled: the kubernetes driver serves the API with TLS only; leave it unset.",
        ));
    }
    if template.docker_storage_driver == Some("devicemapper") {
        return Err(bad_request(
            "docker_storage_driver",
            "docker_storage_driver: devicemapper is not supported by the kubernetes driver; \
             leave it unset or choose overlay2.",
        ));
    }
    if let Some(port) = template.apiserver_port
        && (RESERVED_PORTS.contains(&port) || (30000..=32767).contains(&port))
    {
        return Err(bad_request(
            "apiserver_port",
            format!(
                "apiserver_port: {port} is used by another part of Kubernetes; choose 6443 or a \
                 free one."
            ),
        ));
    }
    labels::check(template.labels, template.network_driver, ranges)
}

/// Time limit of a drain: the label `node_drain_timeout` (seconds).
pub(crate) fn drain_limit(labels: &std::collections::BTreeMap<String, String>) -> Duration {
    labels
        .get("node_drain_timeout")
        .and_then(|v| v.trim().parse().ok())
        .filter(|seconds| *seconds > 0)
        .map_or(DRAIN_LIMIT, Duration::from_secs)
}
