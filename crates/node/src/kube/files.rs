//! Configuration files of components, kubeconfigs and the CNI configuration.
//! Pure. All except those of containerd and the resolver are JSON, which is valid
//! YAML.

use serde_json::{Value, json};

use super::config_file::File;
use super::plan::{CONTAINERD_SOCKET, ETC, Facts, PKI, full_name};

/// The resolver configuration for pods, because Docker's resolver is not reachable
/// from them.
pub(crate) const RESOLV: &str = "/etc/kubernetes/resolv.conf";
pub(crate) const CNI_CONF: &str = "/etc/cni/net.d/10-jeroboam.conflist";
pub(crate) const CONTAINERD_CONF: &str = "/etc/containerd/config.toml";
const BASE_SPEC: &str = "/etc/containerd/base-spec.json";

fn file(path: impl Into<String>, content: impl Into<String>) -> File {
    File {
        path: path.into(),
        content: content.into(),
    }
}

fn pretty(path: &str, value: &Value) -> File {
    // Displaying JSON with `#` cannot fail, unlike serialising it.
    file(path, format!("{value:#}\n"))
}

/// All files that a node of this role needs besides its certificates.
pub(crate) fn all(f: &Facts) -> Vec<File> {
    let mut files = vec![
        kubeconfig(f, "kubelet", &f.api),
        kubeconfig(f, "kube-proxy", &f.api),
        kubelet(f),
        proxy(f),
        cni(f),
        resolv(f),
    ];
    if f.is_master() {
        // The controllers of a master use its own API server, not the balancer.
        for user in ["admin", "controller-manager", "scheduler"] {
            files.push(kubeconfig(f, user, &f.api));
        }
    }
    files
}

/// A kubeconfig, which refers to the certificate files instead of embedding them,
/// so that a renewal replaces a single file.
fn kubeconfig(f: &Facts, user: &str, server: &str) -> File {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": f.cluster,
            "cluster": {
                "server": format!("https://{server}"),
                "certificate-authority": format!("{PKI}/ca.crt"),
            },
        }],
        "users": [{
            "name": user,
            "user": {
                "client-certificate": format!("{PKI}/{user}.crt"),
                "client-key": format!("{PKI}/{user}.key"),
            },
        }],
        "contexts": [{
            "name": "default",
            "context": { "cluster": f.cluster, "user": user },
        }],
        "current-context": "default",
    });
    pretty(&format!("{ETC}/{user}.conf"), &config)
}

const MIB: u64 = 1024 * 1024;
/// Memory used by the agent and the components of a worker.
const WORKER_MEMORY: u64 = 150 * MIB;
/// Memory used by the agent and the components of a master.
const MASTER_MEMORY: u64 = 600 * MIB;

/// The memory that the kubelet reserves. It sees the memory of the whole host, so
/// the part that does not belong to this node is reserved, and Allocatable is at
/// most that of the flavor. `None`: the node has no limit.
fn reserved_memory(f: &Facts) -> Option<u64> {
    let (limit, total) = f.memory?;
    let own = if f.is_master() {
        MASTER_MEMORY
    } else {
        WORKER_MEMORY
    };
    // Reserving everything makes the kubelet exit.
    (limit < total).then(|| (total - limit + own).min(total - 64 * MIB))
}

fn kubelet(f: &Facts) -> File {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": format!("{PKI}/ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": format!("{PKI}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{PKI}/kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        "clusterDNS": [f.plan.dns_ip],
        "clusterDomain": f.plan.cluster_domain,
        "resolvConf": RESOLV,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "enforceNodeAllocatable": ["pods"],
        // A restarted kubelet checks the status of its node after the first of
        // these times. It then reports only changes, until the second has passed.
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "5m",
    });
    if let Some(bytes) = reserved_memory(f) {
        config["systemReserved"] = json!({ "memory": format!("{}Mi", bytes / MIB) });
    }
    if f.minor >= 27 {
        config["containerRuntimeEndpoint"] = json!(format!("unix://{CONTAINERD_SOCKET}"));
    }
    if f.minor >= 31 {
        config["failCgroupV1"] = json!(false);
    }
    // Root of a user namespace cannot open the kernel's log or set sysctls of the
    // whole machine; without this gate the kubelet exits.
    if f.in_user_namespace {
        config["featureGates"] = json!({ "KubeletInUserNamespace": true });
    }
    if f.minor >= 23 && f.is_master() && f.plan.taint_masters {
        config["registerWithTaints"] = json!([{
            "key": "node-role.kubernetes.io/control-plane",
            "effect": "NoSchedule",
        }]);
    }
    pretty(&format!("{ETC}/kubelet.json"), &config)
}

fn proxy(f: &Facts) -> File {
    // The nftables mode is beta and enabled by default since 1.31.
    let mode = if f.minor >= 31 {
        "nftables"
    } else {
        "iptables"
    };
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clientConnection": { "kubeconfig": format!("{ETC}/kube-proxy.conf") },
        "clusterCIDR": f.plan.pod_cidr,
        "hostnameOverride": f.node,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // The limits belong to the host and are read-only in the container.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    });
    pretty(&format!("{ETC}/kube-proxy.json"), &config)
}

/// The pod network of this node. It uses `isGateway` with an explicit default
/// route, because `isDefaultGateway` with that route would make every ADD fail.
fn cni(f: &Facts) -> File {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "jeroboam",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": f.plan.node_pod_cidr }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    pretty(CNI_CONF, &config)
}

fn resolv(f: &Facts) -> File {
    let lines: String = f
        .plan
        .upstream_dns
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    file(RESOLV, lines)
}

/// The files of containerd, which depend only on the image, not on the cluster.
///
/// A privileged container is not given all devices: the device rules of the
/// node do not permit that, and the kernel would refuse the container. The base
/// specification is that of containerd (`ctr oci spec`) with an additional device
/// rule for `/dev/fuse`, and without the limit of open files, because containerd
/// does not apply that limit to pods either.
pub(crate) fn containerd(pause: &str) -> [File; 2] {
    let pause = full_name(pause);
    let config = file(
        CONTAINERD_CONF,
        format!(
            r#"version = 3

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{BASE_SPEC}"
      privileged_without_host_devices = true
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
"#
        ),
    );
    [config, file(BASE_SPEC, include_str!("base-spec.json"))]
}
