//! metrics-server, used by `kubectl top` and autoscaling. It verifies kubelets
//! by the CA of the cluster, and the API server verifies it by a separate
//! certificate, so that all connections are verified.

use kernel::{Error, Result, clock};
use nodewire::KubePlan;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::{Value, json};

use super::apply::{apply, holds};
use super::images::{AddonImages, image};
use super::metadata::{SYSTEM, is_ours, meta, selector};
use crate::http::query;
use crate::kube::api::Api;
use crate::retry::Backoff;

pub(super) const IMAGE: &str = "metrics-server";
pub(super) const NAME: &str = "metrics-server";
const TLS: &str = "metrics-server-tls";
/// Lifetime of the certificate: twice that of a cluster's CA.
const YEARS: i32 = 10;

pub(super) fn objects(_: &KubePlan, addon_images: &AddonImages) -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let subject = json!([{ "kind": "ServiceAccount", "name": NAME, "namespace": SYSTEM }]);
    let role = |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let mut readers = meta("system:aggregated-metrics-reader", None);
    for to in ["view", "edit", "admin"] {
        readers["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{to}")] = json!("true");
    }
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(NAME, Some(SYSTEM)) }),
        json!({ "apiVersion": rbac, "kind": "ClusterRole", "metadata": readers, "rules": [
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"],
              "verbs": ["get", "list", "watch"] },
        ] }),
        json!({ "apiVersion": rbac, "kind": "ClusterRole",
            "metadata": meta("system:metrics-server", None), "rules": [
                { "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] },
                { "apiGroups": [""], "resources": ["pods", "nodes"],
                  "verbs": ["get", "list", "watch"] },
            ] }),
        json!({ "apiVersion": rbac, "kind": "ClusterRoleBinding",
            "metadata": meta("system:metrics-server", None),
            "roleRef": role("ClusterRole", "system:metrics-server"), "subjects": subject }),
        json!({ "apiVersion": rbac, "kind": "ClusterRoleBinding",
            "metadata": meta("metrics-server:system:auth-delegator", None),
            "roleRef": role("ClusterRole", "system:auth-delegator"), "subjects": subject }),
        json!({ "apiVersion": rbac, "kind": "RoleBinding",
            "metadata": meta("metrics-server-auth-reader", Some(SYSTEM)),
            "roleRef": role("Role", "extension-apiserver-authentication-reader"),
            "subjects": subject }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta(NAME, Some(SYSTEM)),
            "spec": { "selector": selector(NAME), "ports": [
                { "name": "https", "port": 443, "targetPort": "https" },
            ] } }),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": meta(NAME, Some(SYSTEM)),
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": selector(NAME) },
                "template": { "metadata": { "labels": selector(NAME) }, "spec": pod(addon_images) },
            } }),
        json!({ "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": meta("v1beta1.metrics.k8s.io", None),
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1",
                "service": { "name": NAME, "namespace": SYSTEM, "port": 443 },
                "groupPriorityMinimum": 100, "versionPriority": 100,
            } }),
    ]
}

fn pod(addon_images: &AddonImages) -> Value {
    let probe = |path: &str, period: u32| {
        json!({
            "httpGet": { "path": path, "port": "https", "scheme": "HTTPS" },
            "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": 5,
        })
    };
    json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        // Masters are not drained, so draining a worker does not evict it.
        "affinity": { "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "preference": { "matchExpressions": [{
                    "key": "node-role.kubernetes.io/control-plane", "operator": "Exists",
                }] },
            }],
        } },
        "tolerations": [{
            "key": "node-role.kubernetes.io/control-plane",
            "operator": "Exists", "effect": "NoSchedule",
        }],
        "containers": [{
            "name": NAME,
            "image": image(addon_images, IMAGE),
            "imagePullPolicy": "Never",
            "args": [
                "--secure-port=10250",
                "--tls-cert-file=/tls/tls.crt",
                "--tls-private-key-file=/tls/tls.key",
                "--kubelet-preferred-address-types=InternalIP",
                "--kubelet-certificate-authority=/ca/ca.crt",
                "--kubelet-use-node-status-port",
                "--metric-resolution=15s",
            ],
            "ports": [{ "name": "https", "containerPort": 10250 }],
            "readinessProbe": probe("/readyz", 2),
            "livenessProbe": probe("/livez", 10),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {
                "requests": { "cpu": "20m", "memory": "50Mi" },
                "limits": { "memory": "200Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": [
                { "name": "tls", "mountPath": "/tls", "readOnly": true },
                { "name": "ca", "mountPath": "/ca", "readOnly": true },
            ],
        }],
        "volumes": [
            { "name": "tls", "secret": { "secretName": TLS } },
            // Kubernetes creates this ConfigMap in every namespace. It contains
            // the CA that signs the certificates of kubelets.
            { "name": "ca", "configMap": { "name": "kube-root-ca.crt" } },
        ],
    })
}

/// Applies the objects. The APIService is applied last, when a pod is available,
/// because an APIService without an endpoint prevents the deletion of namespaces.
///
/// # Errors
/// Fails if the API request fails.
pub(super) async fn install(api: &Api, objects: &[Value]) -> Result<()> {
    let objects = with_certificate(api, objects).await?;
    let (api_services, others): (Vec<Value>, Vec<Value>) = objects
        .into_iter()
        .partition(|object| object["kind"] == "APIService");
    apply(api, &others).await?;
    wait_until_available(api).await;
    apply(api, &api_services).await
}

async fn wait_until_available(api: &Api) {
    let path = format!(
        "/apis/apps/v1/namespaces/{SYSTEM}/deployments?watch=true&timeoutSeconds=300&fieldSelector={}",
        query(&format!("metadata.name={NAME}"))
    );
    let mut backoff = Backoff::new(100, 5_000);
    loop {
        let seen = api
            .watch(&path, |_, now| holds(now, "Available").then_some(()))
            .await;
        if let Ok(Some(())) = seen {
            return;
        }
        backoff.pause().await;
    }
}

/// Adds the certificate of the service to the APIService, so that the API server
/// can verify the service. The certificate is taken from the Secret, which is
/// created if it does not exist.
async fn with_certificate(api: &Api, objects: &[Value]) -> Result<Vec<Value>> {
    let secrets = format!("/api/v1/namespaces/{SYSTEM}/secrets");
    let path = format!("{secrets}/{TLS}");
    let secret = match api.get(&path).await {
        Err(e) if e.is_not_found() => {
            let created = api.post(&secrets, &new_secret()?).await?;
            // The agent of another master may have created it concurrently.
            if matches!(created.status, 201 | 409) {
                api.get(&path).await?
            } else {
                let why = format!("creating {path}: {}", created.message());
                return Err(Error::unavailable(why));
            }
        }
        existing => existing?,
    };
    // The Secret and the APIService both contain base64-encoded PEM.
    let bundle = &secret["data"]["tls.crt"];
    if !is_ours(&secret) || !bundle.is_string() {
        let why = format!("{path} was not created by Jeroboam: it lacks our label or tls.crt");
        return Err(Error::invalid("secret", why));
    }
    let mut objects = objects.to_vec();
    for object in objects.iter_mut().filter(|o| o["kind"] == "APIService") {
        object["spec"]["caBundle"] = bundle.clone();
    }
    Ok(objects)
}

/// A Secret with a new key and its self-signed certificate.
fn new_secret() -> Result<Value> {
    let failed = |e: rcgen::Error| Error::internal(format!("a certificate of {NAME}: {e}"));
    let host = format!("{NAME}.{SYSTEM}.svc");
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(vec![host.clone()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = clock::now().iso_z();
    let year: i32 = now
        .get(..4)
        .and_then(|year| year.parse().ok())
        .ok_or_else(|| Error::internal(format!("no year in {now}")))?;
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + YEARS, 1, 1);
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": meta(TLS, Some(SYSTEM)),
        "stringData": { "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() },
    }))
}
