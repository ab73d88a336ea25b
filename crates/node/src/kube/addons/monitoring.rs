//! Prometheus, and a node-exporter on every node, both from Debian packages.
//! The metrics are stored in the pod and are lost when the pod is replaced.

use std::fmt::Write as _;

use nodewire::KubePlan;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::images::{AddonImages, image};
use super::metadata::{meta, selector};

pub(super) const PROMETHEUS: &str = "prometheus";
pub(super) const EXPORTER: &str = "node-exporter";
const NAMESPACE: &str = "monitoring";
const EXPORTER_PORT: u16 = 9100;
const KUBELET_PORT: u16 = 10250;
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(super) fn objects(plan: &KubePlan, addon_images: &AddonImages) -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let role = "jeroboam:prometheus";
    let config = format!("{:#}", config(plan));
    vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": meta(NAMESPACE, None) }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": meta(PROMETHEUS, Some(NAMESPACE)) }),
        json!({ "apiVersion": rbac, "kind": "ClusterRole", "metadata": meta(role, None), "rules": [
            { "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] },
            { "nonResourceURLs": ["/metrics"], "verbs": ["get"] },
        ] }),
        json!({ "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": meta(role, None),
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": PROMETHEUS, "namespace": NAMESPACE }] }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(PROMETHEUS, Some(NAMESPACE)),
            "data": { "prometheus.yml": config } }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta(PROMETHEUS, Some(NAMESPACE)),
            "spec": { "selector": selector(PROMETHEUS), "ports": [
                { "name": "http", "port": 9090, "targetPort": "http" },
            ] } }),
        // The service name resolves to one address per node, including
        // unreachable ones.
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta(EXPORTER, Some(NAMESPACE)),
            "spec": {
                "clusterIP": "None", "publishNotReadyAddresses": true,
                "selector": selector(EXPORTER),
                "ports": [{ "name": "metrics", "port": EXPORTER_PORT, "targetPort": "metrics" }],
            } }),
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": meta(EXPORTER, Some(NAMESPACE)),
            "spec": {
                "selector": { "matchLabels": selector(EXPORTER) },
                "updateStrategy": { "rollingUpdate": { "maxUnavailable": "100%" } },
                "template": { "metadata": { "labels": selector(EXPORTER) }, "spec": exporter(addon_images) },
            } }),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": meta(PROMETHEUS, Some(NAMESPACE)),
            "spec": {
                "replicas": 1,
                // Two instances would not share their data.
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": selector(PROMETHEUS) },
                "template": {
                    // The digest changes with the configuration, so that a new
                    // pod is created for it.
                    "metadata": { "labels": selector(PROMETHEUS),
                        "annotations": { "jeroboam.io/configuration": digest(&config) } },
                    "spec": prometheus(plan, addon_images),
                },
            } }),
    ]
}

fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().take(8).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The number in the label, or Magnum's default.
fn number(plan: &KubePlan, label: &str, default: u32) -> u32 {
    let value = plan.options.get(label).and_then(|v| v.trim().parse().ok());
    value.unwrap_or(default)
}

/// The configuration of Prometheus as JSON, which is valid YAML.
fn config(plan: &KubePlan) -> Value {
    let interval = number(plan, "monitoring_interval_seconds", 30);
    // The Debian build has no Kubernetes service discovery. An exporter runs on
    // every node in its network namespace, so the kubelet is at the same
    // address.
    let nodes = |port: u16| {
        json!([{
            "names": [format!("{EXPORTER}.{NAMESPACE}.svc.{}", plan.cluster_domain)],
            "type": "A", "port": port, "refresh_interval": "10s",
        }])
    };
    let as_account = json!({ "credentials_file": format!("{ACCOUNT}/token") });
    let ca = json!({ "ca_file": format!("{ACCOUNT}/ca.crt") });
    json!({
        "global": {
            "scrape_interval": format!("{interval}s"),
            "scrape_timeout": format!("{}s", interval.min(10)),
        },
        "scrape_configs": [
            { "job_name": "prometheus", "static_configs": [{ "targets": ["localhost:9090"] }] },
            { "job_name": EXPORTER, "dns_sd_configs": nodes(EXPORTER_PORT) },
            {
                "job_name": "kubelet", "scheme": "https",
                "authorization": as_account, "tls_config": ca,
                "dns_sd_configs": nodes(KUBELET_PORT),
            },
            {
                "job_name": "cadvisor", "scheme": "https", "metrics_path": "/metrics/cadvisor",
                "authorization": as_account, "tls_config": ca,
                "dns_sd_configs": nodes(KUBELET_PORT),
            },
            {
                "job_name": "apiserver", "scheme": "https",
                "authorization": as_account, "tls_config": ca,
                "static_configs": [{ "targets": [
                    format!("kubernetes.default.svc.{}:443", plan.cluster_domain),
                ] }],
            },
            {
                "job_name": "coredns",
                "static_configs": [{ "targets": [format!("{}:9153", plan.dns_ip)] }],
            },
        ],
    })
}

fn prometheus(plan: &KubePlan, addon_images: &AddonImages) -> Value {
    let days = number(plan, "monitoring_retention_days", 14);
    let size = number(plan, "monitoring_retention_size", 14);
    json!({
        "serviceAccountName": PROMETHEUS,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 65534, "fsGroup": 65534 },
        "containers": [{
            "name": PROMETHEUS,
            "image": image(addon_images, PROMETHEUS),
            "imagePullPolicy": "Never",
            "args": [
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/data",
                format!("--storage.tsdb.retention.time={days}d"),
                format!("--storage.tsdb.retention.size={size}GB"),
            ],
            "ports": [{ "name": "http", "containerPort": 9090 }],
            "readinessProbe": {
                "httpGet": { "path": "/-/ready", "port": "http" },
                "periodSeconds": 2, "failureThreshold": 5,
            },
            "livenessProbe": {
                "httpGet": { "path": "/-/healthy", "port": "http" },
                "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5,
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": { "requests": { "cpu": "50m", "memory": "100Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": [
                { "name": "config", "mountPath": "/etc/prometheus", "readOnly": true },
                { "name": "data", "mountPath": "/data" },
            ],
        }],
        "volumes": [
            { "name": "config", "configMap": { "name": PROMETHEUS } },
            { "name": "data", "emptyDir": {} },
        ],
    })
}

/// The pod of node-exporter, which reads processes, network and mounts of the
/// node and cannot change them.
fn exporter(addon_images: &AddonImages) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "hostNetwork": true,
        "hostPID": true,
        "priorityClassName": "system-node-critical",
        "tolerations": [{ "operator": "Exists" }],
        "securityContext": { "runAsNonRoot": true, "runAsUser": 65534 },
        "containers": [{
            "name": EXPORTER,
            "image": image(addon_images, EXPORTER),
            "imagePullPolicy": "Never",
            "args": [
                "--path.procfs=/host/proc",
                "--path.sysfs=/host/sys",
                "--path.rootfs=/host",
                format!("--web.listen-address=:{EXPORTER_PORT}"),
            ],
            "ports": [{ "name": "metrics", "containerPort": EXPORTER_PORT, "hostPort": EXPORTER_PORT }],
            "readinessProbe": {
                "httpGet": { "path": "/", "port": "metrics" },
                "periodSeconds": 5, "timeoutSeconds": 5,
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {
                "requests": { "cpu": "10m", "memory": "20Mi" },
                "limits": { "memory": "100Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": [{ "name": "host", "mountPath": "/host", "readOnly": true }],
        }],
        "volumes": [{ "name": "host", "hostPath": { "path": "/" } }],
    })
}
