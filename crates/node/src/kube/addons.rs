//! What is installed into every cluster, by server-side apply; and what of
//! it works.

use kernel::{Error, Result};
use nodewire::{Addon, KubePlan};
use serde_json::{Value, json};

use super::api::Api;
use super::plan::full_name;

const NAMESPACE: &str = "kube-system";

/// The cluster's DNS.
pub(crate) fn coredns(plan: &KubePlan, image: &str) -> Vec<Value> {
    let meta = |name: &str| json!({ "name": name, "namespace": NAMESPACE, "labels": labels() });
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
                { "kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE },
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
        // A cluster of masters only needs its DNS too.
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
        // The node's upstream, never the cluster itself.
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
    // Without a server to ask, `forward` would keep CoreDNS from starting.
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

/// Where an object of ours is found.
fn path_of(object: &Value) -> Result<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = word(&object["apiVersion"]);
    let plural = match word(&object["kind"]).as_str() {
        "ServiceAccount" => "serviceaccounts",
        "ConfigMap" => "configmaps",
        "Service" => "services",
        "Deployment" => "deployments",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        other => return Err(Error::internal(format!("no route for kind {other}"))),
    };
    let group = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    let meta = &object["metadata"];
    let place = meta["namespace"]
        .as_str()
        .map(|n| format!("/namespaces/{n}"))
        .unwrap_or_default();
    Ok(format!("{group}{place}/{plural}/{}", word(&meta["name"])))
}

/// Applies objects in their order.
///
/// # Errors
/// As the API, naming the object.
pub(crate) async fn apply(api: &Api, objects: &[Value]) -> Result<()> {
    for object in objects {
        let path = path_of(object)?;
        api.apply(&path, object)
            .await
            .map_err(|e| Error::new(e.kind.clone(), format!("applying {path}: {}", e.message)))?;
    }
    Ok(())
}

/// What the cluster's labels asked for, and what became of it.
///
/// # Errors
/// As the API.
pub(crate) async fn states(api: &Api, plan: &KubePlan) -> Result<Vec<Addon>> {
    let mut all = vec![dns_state(api).await?];
    all.extend(not_brought(plan));
    Ok(all)
}

async fn dns_state(api: &Api) -> Result<Addon> {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/coredns");
    let addon = |state: &str, reason: String| Addon {
        name: "coredns".into(),
        state: state.into(),
        reason,
    };
    match api.get(&path).await {
        Ok(now) => {
            let available = now["status"]["availableReplicas"].as_u64().unwrap_or(0);
            Ok(if available > 0 {
                addon("ready", String::new())
            } else {
                addon("pending", pods_words(api).await)
            })
        }
        Err(e) if e.is_not_found() => Ok(addon("pending", "not applied yet".into())),
        Err(e) => Err(e),
    }
}

/// Add-ons of labels whose images no node image holds yet.
fn not_brought(plan: &KubePlan) -> Vec<Addon> {
    const ASKED: [(&str, &str); 5] = [
        ("kube_dashboard_enabled", "dashboard"),
        ("metrics_server_enabled", "metrics-server"),
        ("monitoring_enabled", "monitoring"),
        ("auto_scaling_enabled", "autoscaler"),
        ("ingress_controller", "ingress"),
    ];
    ASKED
        .iter()
        .filter(|(label, _)| {
            plan.options
                .get(*label)
                .is_some_and(|v| !v.is_empty() && !v.eq_ignore_ascii_case("false"))
        })
        .map(|(label, name)| Addon {
            name: (*name).into(),
            state: "failed".into(),
            reason: format!("label {label}: the node image does not hold its image"),
        })
        .collect()
}

/// Whether a pod of the DNS answers its readiness probe.
///
/// # Errors
/// As the API.
pub(crate) async fn dns_ready(api: &Api) -> Result<bool> {
    Ok(dns_state(api).await?.state == "ready")
}

/// Why the DNS' pods do not run, in the cluster's words.
pub(crate) async fn pods_words(api: &Api) -> String {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=k8s-app%3Dkube-dns");
    let pods = api.get(&path).await.unwrap_or(Value::Null);
    let words: Vec<String> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pod_words)
        .collect();
    if words.is_empty() {
        "no pod was created yet".into()
    } else {
        words.join("; ")
    }
}

fn pod_words(pod: &Value) -> Option<String> {
    let name = pod["metadata"]["name"].as_str()?;
    let status = &pod["status"];
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    let unmet = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["status"] == "False");
    let (reason, message) = match (waiting["reason"].as_str(), unmet) {
        (Some(reason), _) => (reason, waiting["message"].as_str()),
        (None, Some(c)) => (c["reason"].as_str()?, c["message"].as_str()),
        (None, None) => (status["phase"].as_str()?, None),
    };
    Some(format!("{name}: {reason} {}", message.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::plan::tests::facts;

    #[test]
    fn every_object_has_its_route() {
        let plan = facts(nodewire::Role::Manager, 36).plan;
        let paths: Vec<String> = coredns(&plan, "c")
            .iter()
            .map(|o| path_of(o).unwrap())
            .collect();
        assert_eq!(
            paths[0],
            "/api/v1/namespaces/kube-system/serviceaccounts/coredns"
        );
        assert_eq!(
            paths[1],
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns"
        );
        assert_eq!(
            paths[5],
            "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
        );
    }

    #[test]
    fn the_dns_starts_without_anyone_to_ask() {
        let mut plan = facts(nodewire::Role::Manager, 36).plan;
        assert!(corefile(&plan).contains("    forward . 8.8.8.8 1.1.1.1\n"));
        plan.upstream_dns.clear();
        assert!(!corefile(&plan).contains("forward"));
        plan.options
            .insert("metrics_server_enabled".into(), "True".into());
        assert_eq!(not_brought(&plan)[0].name, "metrics-server");
    }
}
