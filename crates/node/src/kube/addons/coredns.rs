//! CoreDNS: every cluster has it, and bootstrap completes when it answers.

use nodewire::KubePlan;
use serde_json::{Value, json};

use super::metadata::SYSTEM;
use crate::kube::plan::full_name;

/// The objects of the cluster's DNS.
pub(crate) fn coredns(plan: &KubePlan, image: &str) -> Vec<Value> {
    let meta = |name: &str| json!({ "name": name, "namespace": SYSTEM, "labels": labels() });
    let role = "system:coredns";
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("coredns") }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": role },
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": role },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [
                { "kind": "ServiceAccount", "name": "coredns", "namespace": SYSTEM },
            ],
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("coredns"),
            "data": { "Corefile": corefile(plan) },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta("kube-dns"),
            "spec": {
                "clusterIP": plan.dns_ip,
                "selector": { "k8s-app": "kube-dns" },
                "ports": [
                    { "name": "dns", "port": 53, "protocol": "UDP" },
                    { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
                    { "name": "metrics", "port": 9153, "protocol": "TCP" },
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("coredns"),
            "spec": {
                "replicas": 2,
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
                "selector": { "matchLabels": { "k8s-app": "kube-dns" } },
                "template": {
                    "metadata": { "labels": labels() },
                    "spec": pod(image),
                },
            },
        }),
    ]
}

fn labels() -> Value {
    json!({ "k8s-app": "kube-dns", "app.kubernetes.io/managed-by": "jeroboam" })
}

fn pod(image: &str) -> Value {
    let probe = |path: &str, port: u16, period: u32| {
        json!({
            "httpGet": { "path": path, "port": port },
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        })
    };
    json!({
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        // A cluster without workers needs DNS too.
        "tolerations": [
            { "key": "CriticalAddonsOnly", "operator": "Exists" },
            {
                "key": "node-role.kubernetes.io/control-plane",
                "operator": "Exists", "effect": "NoSchedule",
            },
        ],
        "affinity": { "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
                },
            }],
        } },
        // CoreDNS uses the resolver of the node. With that of the cluster it would
        // query itself.
        "dnsPolicy": "Default",
        "containers": [{
            "name": "coredns",
            "image": full_name(image),
            "imagePullPolicy": "IfNotPresent",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [
                { "name": "dns", "containerPort": 53, "protocol": "UDP" },
                { "name": "dns-tcp", "containerPort": 53, "protocol": "TCP" },
                { "name": "metrics", "containerPort": 9153, "protocol": "TCP" },
            ],
            "readinessProbe": probe("/ready", 8181, 1),
            "livenessProbe": probe("/health", 8080, 10),
            "resources": {
                "requests": { "cpu": "50m", "memory": "40Mi" },
                "limits": { "memory": "170Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] },
            },
            "volumeMounts": [
                { "name": "config", "mountPath": "/etc/coredns", "readOnly": true },
            ],
        }],
        "volumes": [{
            "name": "config",
            "configMap": {
                "name": "coredns",
                "items": [{ "key": "Corefile", "path": "Corefile" }],
            },
        }],
    })
}

fn corefile(plan: &KubePlan) -> String {
    // Without an upstream server `forward` would prevent CoreDNS from starting.
    let forward = if plan.upstream_dns.is_empty() {
        String::new()
    } else {
        format!("    forward . {}\n", plan.upstream_dns.join(" "))
    };
    format!(
        ".:53 {{\n    errors\n    health {{\n        lameduck 5s\n    }}\n    ready\n    prometheus :9153\n    \
         kubernetes {} in-addr.arpa ip6.arpa {{\n        pods insecure\n        \
         fallthrough in-addr.arpa ip6.arpa\n        ttl 30\n    }}\n{forward}    cache 30\n    \
         loop\n    reload\n    loadbalance\n}}\n",
        plan.cluster_domain
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::plan::tests::facts;

    #[test]
    fn coredns_starts_without_an_upstream_server() {
        let mut plan = facts(nodewire::Role::Manager, 36).plan;
        assert!(corefile(&plan).contains("    forward . 8.8.8.8 1.1.1.1\n"));
        plan.upstream_dns.clear();
        assert!(!corefile(&plan).contains("forward"));
    }
}
