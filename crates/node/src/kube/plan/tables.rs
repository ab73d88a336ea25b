//! The tables of flags. An unknown flag makes a component exit, so each flag
//! has a range of releases.

use std::ops::RangeInclusive;

use super::admission;
use super::component::Component;
use super::facts::{Facts, Minor};
use super::paths::{CONTAINERD_SOCKET, ETC, ETCD_DATA, PKI};

pub(super) struct Flag {
    pub name: &'static str,
    pub releases: RangeInclusive<Minor>,
    /// The value, or `None` if the flag is omitted on this node.
    pub value: fn(&Facts) -> Option<String>,
}

const ALWAYS: RangeInclusive<Minor> = 0..=Minor::MAX;

const fn flag(name: &'static str, value: fn(&Facts) -> Option<String>) -> Flag {
    Flag {
        name,
        releases: ALWAYS,
        value,
    }
}

const fn until(last: Minor, name: &'static str, value: fn(&Facts) -> Option<String>) -> Flag {
    Flag {
        name,
        releases: 0..=last,
        value,
    }
}

pub(super) fn of(component: Component) -> &'static [Flag] {
    match component {
        Component::Containerd | Component::Haproxy => &[],
        Component::Etcd => ETCD,
        Component::Apiserver => APISERVER,
        Component::ControllerManager => CONTROLLER_MANAGER,
        Component::Scheduler => SCHEDULER,
        Component::Kubelet => KUBELET,
        Component::Proxy => PROXY,
    }
}

fn yes() -> Option<String> {
    Some("true".into())
}

fn text(value: &str) -> Option<String> {
    Some(value.into())
}

fn pki(file: &str) -> Option<String> {
    Some(format!("{PKI}/{file}"))
}

fn etc(file: &str) -> Option<String> {
    Some(format!("{ETC}/{file}"))
}

/// The peer URL of the member of this node. A single member listens on loopback
/// only.
fn peer_url(f: &Facts) -> Option<String> {
    Some(if f.several_masters() {
        format!("https://{}:2380", f.own)
    } else {
        "https://127.0.0.1:2380".into()
    })
}

fn initial_cluster(f: &Facts) -> Option<String> {
    if !f.several_masters() {
        return Some(format!("{}={}", f.node, peer_url(f)?));
    }
    let all: Vec<String> = f
        .members
        .iter()
        .map(|m| format!("{}=https://{}:2380", m.name, m.address))
        .collect();
    Some(all.join(","))
}

const ETCD_CLIENTS: &str = "https://127.0.0.1:2379";

/// etcd uses TLS even with a single master, because otherwise any pod in the
/// network namespace of the node could read all Secrets. `--unsafe-no-fsync` is not
/// used, because it saves no time.
static ETCD: &[Flag] = &[
    flag("name", |f| Some(f.node.clone())),
    flag("data-dir", |_| text(ETCD_DATA)),
    flag("listen-client-urls", |_| text(ETCD_CLIENTS)),
    flag("advertise-client-urls", |_| text(ETCD_CLIENTS)),
    flag("listen-peer-urls", peer_url),
    flag("initial-advertise-peer-urls", peer_url),
    flag("initial-cluster", initial_cluster),
    flag("initial-cluster-token", |f| Some(f.cluster.clone())),
    flag("initial-cluster-state", |f| {
        // An empty directory in a cluster that had a quorum must never start a
        // second cluster of the same name.
        text(if f.etcd_known && f.several_masters() {
            "existing"
        } else {
            "new"
        })
    }),
    flag("cert-file", |_| pki("etcd.crt")),
    flag("key-file", |_| pki("etcd.key")),
    flag("trusted-ca-file", |_| pki("etcd-ca.crt")),
    flag("client-cert-auth", |_| yes()),
    flag("peer-cert-file", |_| pki("etcd.crt")),
    flag("peer-key-file", |_| pki("etcd.key")),
    flag("peer-trusted-ca-file", |_| pki("etcd-ca.crt")),
    flag("peer-client-cert-auth", |_| yes()),
    flag("listen-metrics-urls", |_| text("http://127.0.0.1:2381")),
    flag("log-level", |_| text("warn")),
];

static APISERVER: &[Flag] = &[
    flag("advertise-address", |f| Some(f.own.to_string())),
    flag("secure-port", |f| Some(f.plan.api_port.to_string())),
    until(23, "insecure-port", |_| text("0")),
    // The API server keeps serving until the checks of the balancer have detected
    // the shutdown; the supervisor waits a second longer.
    flag("shutdown-delay-duration", |f| {
        f.several_masters().then(|| "1500ms".into())
    }),
    flag("etcd-servers", |_| text(ETCD_CLIENTS)),
    flag("etcd-cafile", |_| pki("etcd-ca.crt")),
    flag("etcd-certfile", |_| pki("etcd-client.crt")),
    flag("etcd-keyfile", |_| pki("etcd-client.key")),
    flag("authorization-mode", |_| text("Node,RBAC")),
    flag("enable-admission-plugins", |f| Some(admission::enabled(f))),
    flag("allow-privileged", |_| yes()),
    flag("service-cluster-ip-range", |f| {
        Some(f.plan.service_cidr.clone())
    }),
    flag("service-account-issuer", |f| {
        Some(format!(
            "https://kubernetes.default.svc.{}",
            f.plan.cluster_domain
        ))
    }),
    flag("service-account-key-file", |_| pki("sa.pub")),
    flag("service-account-signing-key-file", |_| pki("sa.key")),
    flag("client-ca-file", |_| pki("ca.crt")),
    flag("tls-cert-file", |_| pki("apiserver.crt")),
    flag("tls-private-key-file", |_| pki("apiserver.key")),
    flag("kubelet-client-certificate", |_| {
        pki("apiserver-kubelet-client.crt")
    }),
    flag("kubelet-client-key", |_| {
        pki("apiserver-kubelet-client.key")
    }),
    flag("kubelet-certificate-authority", |_| pki("ca.crt")),
    flag("kubelet-preferred-address-types", |_| {
        text("InternalIP,Hostname")
    }),
    flag("requestheader-client-ca-file", |_| {
        pki("front-proxy-ca.crt")
    }),
    flag("requestheader-allowed-names", |_| {
        text("front-proxy-client,front-proxy")
    }),
    flag("requestheader-extra-headers-prefix", |_| {
        text("X-Remote-Extra-")
    }),
    flag("requestheader-group-headers", |_| text("X-Remote-Group")),
    flag("requestheader-username-headers", |_| text("X-Remote-User")),
    flag("proxy-client-cert-file", |_| pki("front-proxy-client.crt")),
    flag("proxy-client-key-file", |_| pki("front-proxy-client.key")),
];

/// Whether a controller needs a lease. It can work without one only if a second
/// instance can never exist.
fn leader_elect(f: &Facts) -> Option<String> {
    Some(f.several_masters().to_string())
}

/// There is no `--cluster-signing-*`, because the key of the CA stays on the
/// server. Without these flags the controller manager disables its signers.
static CONTROLLER_MANAGER: &[Flag] = &[
    flag("kubeconfig", |_| etc("controller-manager.conf")),
    flag("allocate-node-cidrs", |_| text("false")),
    flag("kube-api-qps", |_| text("200")),
    flag("kube-api-burst", |_| text("400")),
    flag("use-service-account-credentials", |_| yes()),
    flag("leader-elect", leader_elect),
    flag("root-ca-file", |_| pki("ca.crt")),
    flag("service-account-private-key-file", |_| pki("sa.key")),
    until(23, "port", |_| text("0")),
    flag("bind-address", |_| text("127.0.0.1")),
];

static SCHEDULER: &[Flag] = &[
    flag("kubeconfig", |_| etc("scheduler.conf")),
    flag("leader-elect", leader_elect),
    until(23, "port", |_| text("0")),
    flag("bind-address", |_| text("127.0.0.1")),
];

static KUBELET: &[Flag] = &[
    flag("config", |_| etc("kubelet.json")),
    flag("kubeconfig", |_| etc("kubelet.conf")),
    flag("hostname-override", |f| Some(f.node.clone())),
    flag("node-ip", |f| Some(f.own.to_string())),
    flag("root-dir", |_| text("/var/lib/kubelet")),
    until(26, "container-runtime", |_| text("remote")),
    until(26, "container-runtime-endpoint", |_| {
        Some(format!("unix://{}", CONTAINERD_SOCKET))
    }),
    flag("node-labels", |f| {
        let labels = f.own_labels();
        (!labels.is_empty()).then(|| labels.join(","))
    }),
    // Since 1.23 the taints are in the configuration file.
    until(22, "register-with-taints", |f| {
        (f.is_master() && f.plan.taint_masters)
            .then(|| "node-role.kubernetes.io/control-plane=:NoSchedule".into())
    }),
];

static PROXY: &[Flag] = &[flag("config", |_| etc("kube-proxy.json"))];
