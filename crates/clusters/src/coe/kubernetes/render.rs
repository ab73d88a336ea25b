//! Kubernetes-specific parts of the cluster template.

use crate::coe::hot::CoeParts;

/// The rules open the port of the API server, etcd between masters, the
/// kubelet, the health port of the service proxy, VXLAN and node ports.
pub(crate) fn template_parts(api_port: u16) -> CoeParts {
    let api = i64::from(api_port);
    CoeParts {
        coe: "kubernetes",
        description: "A Kubernetes cluster of masters and workers.",
        traffic: "Kubernetes API, kubelets, etcd, pod network and node ports",
        rules: vec![
            ("tcp", api, api),
            ("tcp", 2379, 2380),
            ("tcp", 10250, 10250),
            ("tcp", 10256, 10256),
            ("udp", 8472, 8472),
            ("tcp", 30000, 32767),
            ("udp", 30000, 32767),
        ],
    }
}
