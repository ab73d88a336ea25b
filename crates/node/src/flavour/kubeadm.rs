//! Inputs of kubeadm in a node of `kindest/node`: one configuration file,
//! certificates and kubeconfigs, and the commands in order. Pure.
//!
//! The key of the CA stays on the server: kubeadm finds `ca.crt` without
//! `ca.key` and all certificates and kubeconfigs that it would have created,
//! which is its external CA mode. The kubelet of a worker already has
//! credentials, so that no certificate has to be signed inside the cluster and
//! no bootstrap token is needed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Error, Result};
use serde_json::{Map, Value, json};

use super::actions::Action;
use crate::kube::plan::Facts;

pub(crate) const CONFIG: &str = "/kind/kubeadm.conf";
pub(crate) const VERSION: &str = "/kind/version";
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";
const PKI: &str = "/etc/kubernetes/pki";
const ETC: &str = "/etc/kubernetes";
/// Default path of the kubelet's serving certificate.
const KUBELET: &str = "/var/lib/kubelet/pki/kubelet";
const ADMIN: &str = "--kubeconfig=/etc/kubernetes/admin.conf";
/// Timeout, seconds. kubeadm itself allows four minutes for the control plane.
const STEP_TIMEOUT: u64 = 300;

/// PEM texts by the names of the stored files.
pub(crate) type Material = BTreeMap<String, String>;

fn pem<'a>(material: &'a Material, name: &str) -> Result<&'a str> {
    material
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| Error::internal(format!("{name} is not among the certificates")))
}

/// Actions up to a running control plane with a pod network.
///
/// # Errors
/// Internal: a certificate is missing.
pub(crate) fn master(f: &Facts, version: &str, material: &Material) -> Result<Vec<Action>> {
    let mut actions = Vec::new();
    for (from, to) in [
        ("ca.crt", "ca.crt"),
        ("front-proxy-ca.crt", "front-proxy-ca.crt"),
        ("etcd-ca.crt", "etcd/ca.crt"),
    ] {
        actions.push(write_public(format!("{PKI}/{to}"), pem(material, from)?));
    }
    for (from, to) in [
        ("apiserver", "apiserver"),
        ("apiserver-kubelet-client", "apiserver-kubelet-client"),
        ("etcd-client", "apiserver-etcd-client"),
        ("front-proxy-client", "front-proxy-client"),
        ("etcd", "etcd/server"),
        ("etcd", "etcd/peer"),
        ("etcd-client", "etcd/healthcheck-client"),
    ] {
        write_pair(&mut actions, material, from, &format!("{PKI}/{to}"))?;
    }
    actions.push(write_private(
        format!("{PKI}/sa.key"),
        pem(material, "sa.key")?,
    ));
    actions.push(write_public(
        format!("{PKI}/sa.pub"),
        pem(material, "sa.pub")?,
    ));
    write_pair(&mut actions, material, "kubelet", KUBELET)?;
    let api = format!("{}:{}", f.own, f.plan.api_port);
    for (user, file) in [
        ("admin", "admin"),
        // Used since 1.29; an older kubeadm ignores it.
        ("admin", "super-admin"),
        ("controller-manager", "controller-manager"),
        ("scheduler", "scheduler"),
        ("kubelet", "kubelet"),
    ] {
        actions.push(kubeconfig(f, material, user, file, &api)?);
    }
    actions.push(write_public(CONFIG.into(), &config(f, version)?));
    let mut init = vec![
        "kubeadm",
        "init",
        "--config=/kind/kubeadm.conf",
        "--skip-token-print",
        "--v=6",
    ];
    if minor(version)? < 23 {
        // Since 1.23 the configuration file contains the phases to skip.
        init.push("--skip-phases=preflight,bootstrap-token");
    }
    actions.push(Action::run(&init, STEP_TIMEOUT));
    for (manifest, verb) in [
        ("/kind/manifests/default-cni.yaml", "apply"),
        ("/kind/manifests/default-storage.yaml", "apply"),
    ] {
        actions.push(Action::Feed {
            argv: ["kubectl", ADMIN, verb, "-f", "-"]
                .map(str::to_owned)
                .to_vec(),
            manifest: manifest.into(),
            pods: f.plan.pod_cidr.clone(),
        });
    }
    Ok(actions)
}

/// Actions up to a joined kubelet.
///
/// # Errors
/// Internal: a certificate is missing.
pub(crate) fn worker(f: &Facts, version: &str, material: &Material) -> Result<Vec<Action>> {
    let mut actions = vec![write_public(
        format!("{PKI}/ca.crt"),
        pem(material, "ca.crt")?,
    )];
    write_pair(&mut actions, material, "kubelet", KUBELET)?;
    for file in ["kubelet", "discovery"] {
        actions.push(kubeconfig(f, material, "kubelet", file, &f.api)?);
    }
    actions.push(write_public(CONFIG.into(), &config(f, version)?));
    let mut join = vec!["kubeadm", "join", "--config", CONFIG, "--v=6"];
    if minor(version)? < 23 {
        join.push("--skip-phases=preflight");
    }
    actions.push(Action::run(&join, STEP_TIMEOUT));
    Ok(actions)
}

/// Actions before another attempt, because kubeadm fails on remains of the
/// previous one.
pub(crate) fn reset() -> Vec<Action> {
    vec![Action::run(&["kubeadm", "reset", "--force", "--v=6"], 120)]
}

/// # Errors
/// Invalid `image`: no version of the form v1.36.1.
pub(crate) fn minor(version: &str) -> Result<u16> {
    version
        .trim()
        .strip_prefix("v1.")
        .and_then(|rest| rest.split('.').next()?.parse().ok())
        .ok_or_else(|| {
            Error::invalid(
                "image",
                format!("{VERSION}: '{}' is not of the form v1.36.1", version.trim()),
            )
        })
}

fn write_public(path: String, content: &str) -> Action {
    Action::Write {
        path,
        private: false,
        content: content.to_owned(),
    }
}

fn write_private(path: String, content: &str) -> Action {
    Action::Write {
        path,
        private: true,
        content: content.to_owned(),
    }
}

/// Writes a certificate and its key under the names that kubeadm uses.
fn write_pair(actions: &mut Vec<Action>, material: &Material, from: &str, to: &str) -> Result<()> {
    let part = |end: &str| pem(material, &format!("{from}.{end}"));
    actions.push(write_public(format!("{to}.crt"), part("crt")?));
    actions.push(write_private(format!("{to}.key"), part("key")?));
    Ok(())
}

/// Writes a kubeconfig with embedded certificates, because a static pod mounts
/// only this file.
fn kubeconfig(f: &Facts, material: &Material, user: &str, file: &str, api: &str) -> Result<Action> {
    let data = |name: &str| pem(material, name).map(|text| STANDARD.encode(text));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": f.cluster,
            "cluster": {
                "server": format!("https://{api}"),
                "certificate-authority-data": data("ca.crt")?,
            },
        }],
        "users": [{
            "name": user,
            "user": {
                "client-certificate-data": data(&format!("{user}.crt"))?,
                "client-key-data": data(&format!("{user}.key"))?,
            },
        }],
        "contexts": [{
            "name": "default",
            "context": { "cluster": f.cluster, "user": user },
        }],
        "current-context": "default",
    });
    Ok(write_private(
        format!("{ETC}/{file}.conf"),
        &format!("{config:#}\n"),
    ))
}

/// Version of the configuration format, as kind chooses it.
fn api_version(minor: u16) -> &'static str {
    match minor {
        ..23 => "kubeadm.k8s.io/v1beta2",
        23..36 => "kubeadm.k8s.io/v1beta3",
        _ => "kubeadm.k8s.io/v1beta4",
    }
}

/// Formats extra arguments: v1beta4 has a list of pairs, an older version a map.
fn extra(minor: u16, arguments: &[(&str, String)]) -> Value {
    if minor >= 36 {
        let pair = |(name, value): &(&str, String)| json!({ "name": name, "value": value });
        return arguments.iter().map(pair).collect();
    }
    let map: Map<String, Value> = arguments
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    Value::Object(map)
}

/// All documents of `/kind/kubeadm.conf`; JSON is valid YAML.
pub(crate) fn config(f: &Facts, version: &str) -> Result<String> {
    let minor = minor(version)?;
    let mut documents = vec![
        cluster(f, version.trim(), minor),
        init(f, minor),
        join(f, minor),
        kubelet(f, minor),
        proxy(f),
    ];
    if f.is_master() {
        documents.remove(2);
    } else {
        // A joining node reads the other documents from the cluster.
        documents = documents.into_iter().skip(2).take(1).collect();
    }
    let texts: Vec<String> = documents.iter().map(|d| format!("{d:#}\n")).collect();
    Ok(texts.join("---\n"))
}

fn cluster(f: &Facts, version: &str, minor: u16) -> Value {
    json!({
        "apiVersion": api_version(minor),
        "kind": "ClusterConfiguration",
        "kubernetesVersion": version,
        "clusterName": f.cluster,
        "controlPlaneEndpoint": format!("{}:{}", f.own, f.plan.api_port),
        "apiServer": {
            "certSANs": ["localhost", "127.0.0.1", f.own.to_string()],
            "extraArgs": extra(minor, &[
                ("kubelet-certificate-authority", format!("{PKI}/ca.crt")),
            ]),
        },
        "controllerManager": {
            // The server assigns the pod range of each node.
            "extraArgs": extra(minor, &[("allocate-node-cidrs", "false".into())]),
        },
        "networking": {
            "podSubnet": f.plan.pod_cidr,
            "serviceSubnet": f.plan.service_cidr,
            "dnsDomain": f.plan.cluster_domain,
        },
    })
}

fn init(f: &Facts, minor: u16) -> Value {
    let mut taints = json!([]);
    if f.plan.taint_masters {
        taints = json!([{
            "key": "node-role.kubernetes.io/control-plane",
            "effect": "NoSchedule",
        }]);
    }
    let mut document = json!({
        "apiVersion": api_version(minor),
        "kind": "InitConfiguration",
        "localAPIEndpoint": {
            "advertiseAddress": f.own.to_string(),
            "bindPort": f.plan.api_port,
        },
        "nodeRegistration": registration(f, minor),
    });
    document["nodeRegistration"]["taints"] = taints;
    if minor >= 23 {
        // Since 1.26 this phase requires a bootstrap token.
        let last: &[&str] = if minor >= 26 {
            &["show-join-command"]
        } else {
            &[]
        };
        document["skipPhases"] = json!([&["preflight", "bootstrap-token"], last].concat());
    }
    document
}

fn join(f: &Facts, minor: u16) -> Value {
    let mut document = json!({
        "apiVersion": api_version(minor),
        "kind": "JoinConfiguration",
        // The kubelet has credentials, so there is no bootstrap token.
        "discovery": { "file": { "kubeConfigPath": format!("{ETC}/discovery.conf") } },
        "nodeRegistration": registration(f, minor),
    });
    if minor >= 23 {
        document["skipPhases"] = json!(["preflight"]);
    }
    document
}

fn registration(f: &Facts, minor: u16) -> Value {
    let labels = f.own_labels();
    let mut arguments = vec![("node-ip", f.own.to_string())];
    if !labels.is_empty() {
        arguments.push(("node-labels", labels.join(",")));
    }
    if let Some(reserved) = super::member::reserved(f) {
        arguments.push(("system-reserved", reserved));
    }
    json!({
        "name": f.node,
        "criSocket": format!("unix://{SOCKET}"),
        "kubeletExtraArgs": extra(minor, &arguments),
        "ignorePreflightErrors": ["all"],
    })
}

/// Configures the kubelet as kind does. The serving certificate is not named,
/// because it is at the default path.
fn kubelet(f: &Facts, minor: u16) -> Value {
    let mut document = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": if minor >= 24 { "systemd" } else { "cgroupfs" },
        "cgroupRoot": "/kubelet",
        "clusterDNS": [f.plan.dns_ip],
        "clusterDomain": f.plan.cluster_domain,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        // No component of the cluster could sign a renewal.
        "rotateCertificates": false,
        "serverTLSBootstrap": false,
    });
    if minor >= 31 {
        document["failCgroupV1"] = json!(false);
    }
    document
}

fn proxy(f: &Facts) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": f.plan.pod_cidr,
        "iptables": { "minSyncPeriod": "1s" },
        // The limits belong to the host and are read-only in the container.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}
