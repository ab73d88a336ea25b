//! Applies objects to the cluster and removes them, in dependency order.

use std::time::Duration;

use kernel::{Error, Result};
use serde_json::Value;

use super::metadata::is_ours;
use crate::http::query;
use crate::kube::api::Api;
use crate::retry::Backoff;

/// Timeout for a new kind to be served by the API server.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);
const CRD: &str = "CustomResourceDefinition";

/// Kinds in the order in which they are applied; all other kinds are last.
const ORDER: [&[&str]; 3] = [
    &["Namespace"],
    &[CRD],
    &[
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    ],
];

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn rank(object: &Value) -> usize {
    let kind = word(&object["kind"]);
    ORDER
        .iter()
        .position(|kinds| kinds.contains(&kind.as_str()))
        .unwrap_or(ORDER.len())
}

/// The API path of an object.
///
/// # Errors
/// Internal: a kind that none of our add-ons has.
pub(crate) fn path_of(object: &Value) -> Result<String> {
    let version = word(&object["apiVersion"]);
    let plural = match word(&object["kind"]).as_str() {
        "APIService" => "apiservices",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "ConfigMap" => "configmaps",
        CRD => "customresourcedefinitions",
        "DaemonSet" => "daemonsets",
        "Deployment" => "deployments",
        "IngressClass" => "ingressclasses",
        "Namespace" => "namespaces",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "Secret" => "secrets",
        "Service" => "services",
        "ServiceAccount" => "serviceaccounts",
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings",
        other => return Err(Error::internal(format!("no route for kind {other}"))),
    };
    let group = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    let meta = &object["metadata"];
    let namespace = meta["namespace"]
        .as_str()
        .map(|n| format!("/namespaces/{n}"))
        .unwrap_or_default();
    Ok(format!(
        "{group}{namespace}/{plural}/{}",
        word(&meta["name"])
    ))
}

fn name_object(path: &str) -> impl Fn(Error) -> Error {
    move |e| Error::new(e.kind.clone(), format!("applying {path}: {}", e.message))
}

/// Applies objects in this order: namespaces, custom kinds, which are waited for
/// until they are served, accounts with their permissions, other objects. A
/// repetition changes nothing.
///
/// # Errors
/// API errors, naming the object; timeout: a kind is not served.
pub(crate) async fn apply(api: &Api, objects: &[Value]) -> Result<()> {
    let mut ordered: Vec<&Value> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(object));
    for (at, object) in ordered.iter().enumerate() {
        let path = path_of(object)?;
        api.apply(&path, object).await.map_err(name_object(&path))?;
        let last_kind = ordered.get(at + 1).is_none_or(|next| next["kind"] != CRD);
        if object["kind"] == CRD && last_kind {
            for kind in ordered.iter().filter(|o| o["kind"] == CRD) {
                wait_until_served(api, kind).await?;
            }
        }
    }
    Ok(())
}

/// Waits until the API server serves a kind.
async fn wait_until_served(api: &Api, kind: &Value) -> Result<()> {
    let name = word(&kind["metadata"]["name"]);
    let path = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=true&timeoutSeconds=30&fieldSelector={}",
        query(&format!("metadata.name={name}"))
    );
    let watch = async {
        let mut backoff = Backoff::new(50, 1_000);
        loop {
            let seen = api
                .watch(&path, |_, now| holds(now, "Established").then_some(()))
                .await;
            if let Ok(Some(())) = seen {
                return;
            }
            backoff.pause().await;
        }
    };
    tokio::time::timeout(ESTABLISH_TIMEOUT, watch)
        .await
        .map_err(|_| Error::timeout(format!("{name} is not established after 30 s")))
}

/// Whether a condition of an object is true.
pub(crate) fn holds(object: &Value, condition: &str) -> bool {
    let all = object["status"]["conditions"].as_array();
    all.into_iter()
        .flatten()
        .any(|c| c["type"] == condition && c["status"] == "True")
}

/// Deletes objects in reverse order; absent objects are skipped. An object that
/// was created by another party under the same name stays.
///
/// # Errors
/// API errors, naming the object.
pub(crate) async fn remove(api: &Api, objects: &[Value]) -> Result<()> {
    let mut ordered: Vec<&Value> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(object));
    for object in ordered.into_iter().rev() {
        let path = path_of(object)?;
        let deleted = match api.get(&path).await {
            Ok(now) if is_ours(&now) => api.delete(&path).await.map(|_| ()),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        };
        match deleted {
            Err(e) if !e.is_not_found() => {
                let what = format!("removing {path}: {}", e.message);
                return Err(Error::new(e.kind.clone(), what));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::addons::coredns;
    use crate::kube::plan::tests::facts;
    use serde_json::json;

    #[test]
    fn every_object_has_its_route() {
        let plan = facts(nodewire::Role::Manager, 36).plan;
        let paths: Vec<String> = coredns(&plan, "c")
            .iter()
            .map(|o| path_of(o).unwrap())
            .collect();
        for (at, path) in [
            (0, "/api/v1/namespaces/kube-system/serviceaccounts/coredns"),
            (
                1,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns",
            ),
            (
                5,
                "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
            ),
        ] {
            assert_eq!(paths[at], path);
        }
        assert!(path_of(&json!({ "kind": "Job" })).is_err());
    }

    #[test]
    fn dependencies_are_applied_first() {
        let kinds = ["Deployment", "ClusterRole", CRD, "Namespace", "Service"];
        let mut objects: Vec<Value> = kinds.iter().map(|k| json!({ "kind": k })).collect();
        objects.sort_by_key(rank);
        let sorted: Vec<String> = objects.iter().map(|o| word(&o["kind"])).collect();
        assert_eq!(
            sorted,
            ["Namespace", CRD, "ClusterRole", "Deployment", "Service"]
        );
    }
}
