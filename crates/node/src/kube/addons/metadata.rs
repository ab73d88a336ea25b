//! Metadata of the objects of add-ons, and the label that marks them as ours.

use serde_json::{Value, json};

/// The namespace of most add-ons.
pub(super) const SYSTEM: &str = "kube-system";
/// The label of our objects.
pub(super) const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "jeroboam");
/// Selects our objects in a list or a watch.
pub(crate) const SELECTOR: &str = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Djeroboam";

/// Metadata of our objects; `None` for kinds without a namespace.
pub(super) fn meta(name: &str, namespace: Option<&str>) -> Value {
    // Names of roles contain colons, which labels must not.
    let label = name.rsplit(':').next().unwrap_or(name);
    let mut meta = json!({ "name": name, "labels": {
        "app.kubernetes.io/name": label, OURS.0: OURS.1,
    } });
    if let Some(namespace) = namespace {
        meta["namespace"] = json!(namespace);
    }
    meta
}

/// The labels by which a workload selects its pods.
pub(super) fn selector(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": name })
}

pub(super) fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][OURS.0] == OURS.1
}
