//! Traefik on every worker, on ports 80 and 443 of the node.

use nodewire::KubePlan;
use serde_json::{Value, json};

use super::images::{AddonImages, image};
use super::metadata::{SYSTEM, meta, selector};

pub(super) const IMAGE: &str = "traefik";
/// The only supported value of the label.
pub(super) const CONTROLLER: &str = "traefik";
const NAME: &str = "ingress-traefik";

pub(super) fn objects(_: &KubePlan, addon_images: &AddonImages) -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut class = meta(CONTROLLER, None);
    class["annotations"] = json!({ "ingressclass.kubernetes.io/is-default-class": "true" });
    let role = "jeroboam:ingress-traefik";
    let read_verbs = json!(["get", "list", "watch"]);
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(NAME, Some(SYSTEM)) }),
        json!({ "apiVersion": rbac, "kind": "ClusterRole", "metadata": meta(role, None), "rules": [
            // Secrets contain the certificates that Ingresses refer to.
            { "apiGroups": [""], "resources": ["services", "secrets", "nodes"], "verbs": read_verbs },
            { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read_verbs },
            { "apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"],
              "verbs": read_verbs },
            { "apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"],
              "verbs": ["update"] },
        ] }),
        json!({ "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": meta(role, None),
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": SYSTEM }] }),
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": class,
            "spec": { "controller": "traefik.io/ingress-controller" } }),
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta(NAME, Some(SYSTEM)),
            "spec": {
                "selector": { "matchLabels": selector(NAME) },
                "template": { "metadata": { "labels": selector(NAME) }, "spec": pod(addon_images) },
            } }),
    ]
}

fn pod(addon_images: &AddonImages) -> Value {
    json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "containers": [{
            "name": "traefik",
            "image": image(addon_images, IMAGE),
            "imagePullPolicy": "Never",
            "args": [
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
                "--entrypoints.traefik.address=:8080",
                "--entrypoints.web.address=:8000",
                "--entrypoints.websecure.address=:8443",
                "--entrypoints.websecure.http.tls=true",
                "--providers.kubernetesingress=true",
                "--ping=true",
                "--log.level=WARN",
            ],
            "ports": [
                { "name": "web", "containerPort": 8000, "hostPort": 80 },
                { "name": "websecure", "containerPort": 8443, "hostPort": 443 },
            ],
            "readinessProbe": {
                "httpGet": { "path": "/ping", "port": 8080 }, "periodSeconds": 2,
            },
            "livenessProbe": {
                "httpGet": { "path": "/ping", "port": 8080 },
                "periodSeconds": 10, "timeoutSeconds": 5,
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": { "requests": { "cpu": "50m", "memory": "50Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    })
}
