//! The state of an add-on, with the reasons that the cluster reports.

use kernel::Result;
use nodewire::Addon;
use serde_json::Value;

use super::apply::{holds, path_of};
use super::metadata::{SYSTEM, is_ours};
use crate::engine::text;
use crate::http::query;
use crate::kube::api::Api;

/// Reasons for which a container waits and that waiting does not resolve.
const PERMANENT_REASONS: [&str; 8] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

pub(super) fn addon(name: &str, state: &str, reason: impl Into<String>) -> Addon {
    Addon {
        name: name.into(),
        state: state.into(),
        reason: reason.into(),
    }
}

/// The state of an add-on: `ready` when all workloads in `objects` are available.
///
/// # Errors
/// Fails if the API request fails.
pub(super) async fn of(api: &Api, name: &str, objects: &[Value]) -> Result<Addon> {
    for object in objects {
        let kind = text(&object["kind"]);
        if !matches!(kind.as_str(), "Deployment" | "DaemonSet" | "APIService") {
            continue;
        }
        let now = match api.get(&path_of(object)?).await {
            Err(e) if e.is_not_found() => return Ok(addon(name, "pending", "not applied yet")),
            now => now?,
        };
        if !is_ours(&now) {
            let why = format!(
                "{} was not created by Jeroboam",
                text(&now["metadata"]["name"])
            );
            return Ok(addon(name, "pending", why));
        }
        if kind == "APIService" {
            if !holds(&now, "Available") {
                return Ok(addon(name, "pending", unavailable_reason(&now)));
            }
        } else if !runs(&kind, &now) {
            let selector = &object["spec"]["selector"]["matchLabels"];
            let namespace = text(&object["metadata"]["namespace"]);
            let (permanent, reasons) = pods(api, &namespace, selector).await;
            let state = if permanent { "failed" } else { "pending" };
            return Ok(addon(name, state, reasons));
        }
    }
    Ok(addon(name, "ready", ""))
}

/// Whether a workload runs as its current specification requires.
fn runs(kind: &str, now: &Value) -> bool {
    let count = |key: &str| now["status"][key].as_u64().unwrap_or(0);
    if count("observedGeneration") < now["metadata"]["generation"].as_u64().unwrap_or(1) {
        return false;
    }
    if kind == "DaemonSet" {
        let wanted = count("desiredNumberScheduled");
        wanted > 0 && count("numberAvailable") >= wanted
    } else {
        count("availableReplicas") > 0
    }
}

/// The reason why an APIService is not available.
fn unavailable_reason(service: &Value) -> String {
    let all = service["status"]["conditions"].as_array();
    all.into_iter()
        .flatten()
        .find(|c| c["type"] == "Available")
        .map(|c| format!("{}: {}", text(&c["reason"]), text(&c["message"])))
        .unwrap_or_else(|| "the API server has not checked the service yet".into())
}

/// The reasons why pods do not run, and whether that is permanent.
async fn pods(api: &Api, namespace: &str, labels: &Value) -> (bool, String) {
    let selector: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods?labelSelector={}",
        query(&selector.join(","))
    );
    let pods = api.get(&path).await.unwrap_or(Value::Null);
    let all: Vec<&Value> = pods["items"].as_array().into_iter().flatten().collect();
    let reasons: Vec<String> = all.iter().filter_map(|pod| not_ready_reason(pod)).collect();
    let reasons = if reasons.is_empty() {
        "no pod was created yet".into()
    } else {
        reasons.join("; ")
    };
    (all.iter().any(|pod| is_permanent_failure(pod)), reasons)
}

fn waiting(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["waiting"]
}

fn is_permanent_failure(pod: &Value) -> bool {
    let reason = text(&waiting(pod)["reason"]);
    PERMANENT_REASONS.contains(&reason.as_str())
}

/// The reason why a pod is not ready; `None` for a ready pod.
fn not_ready_reason(pod: &Value) -> Option<String> {
    if holds(pod, "Ready") {
        return None;
    }
    let name = pod["metadata"]["name"].as_str()?;
    let status = &pod["status"];
    let unmet = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["status"] == "False");
    let (reason, message) = match (waiting(pod)["reason"].as_str(), unmet) {
        (Some(reason), _) => (reason, waiting(pod)["message"].as_str()),
        (None, Some(c)) => (c["reason"].as_str()?, c["message"].as_str()),
        (None, None) => (status["phase"].as_str()?, None),
    };
    // The last line of the termination message of a container that has one.
    let last = &status["containerStatuses"][0]["lastState"]["terminated"]["message"];
    let message_line = last.as_str().map(str::trim).unwrap_or_default();
    let message_line = message_line.lines().last().unwrap_or_default();
    Some(
        [
            name,
            ": ",
            reason,
            " ",
            message.unwrap_or_default(),
            " ",
            message_line,
        ]
        .concat()
        .trim_end()
        .to_owned(),
    )
}

/// The state of the cluster DNS.
///
/// # Errors
/// Fails if the API request fails.
pub(super) async fn dns(api: &Api) -> Result<Addon> {
    let path = format!("/apis/apps/v1/namespaces/{SYSTEM}/deployments/coredns");
    match api.get(&path).await {
        Ok(now) => {
            let available = now["status"]["availableReplicas"].as_u64().unwrap_or(0);
            Ok(if available > 0 {
                addon("coredns", "ready", "")
            } else {
                addon("coredns", "pending", dns_pod_reasons(api).await)
            })
        }
        Err(e) if e.is_not_found() => Ok(addon("coredns", "pending", "not applied yet")),
        Err(e) => Err(e),
    }
}

/// Whether a pod of the DNS is available.
///
/// # Errors
/// Fails if the API request fails.
pub(crate) async fn dns_ready(api: &Api) -> Result<bool> {
    Ok(dns(api).await?.state == "ready")
}

/// The reasons why the DNS pods do not run.
pub(crate) async fn dns_pod_reasons(api: &Api) -> String {
    let selector = serde_json::json!({ "k8s-app": "kube-dns" });
    pods(api, SYSTEM, &selector).await.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workloads_run_when_the_current_generation_does() {
        let set = |ready: u64, seen: u64| {
            json!({ "metadata": { "generation": 2 }, "status": {
                "observedGeneration": seen, "desiredNumberScheduled": 3, "numberAvailable": ready,
            } })
        };
        assert!(runs("DaemonSet", &set(3, 2)));
        assert!(!runs("DaemonSet", &set(2, 2)) && !runs("DaemonSet", &set(3, 1)));
        assert!(!runs("DaemonSet", &json!({})));
        let deployment = json!({ "metadata": { "generation": 1 }, "status": {
            "observedGeneration": 1, "availableReplicas": 1 } });
        assert!(runs("Deployment", &deployment) && !runs("Deployment", &json!({})));
    }

    #[test]
    fn pods_report_what_blocks_them() {
        let pod = json!({ "metadata": { "name": "p" }, "status": {
            "phase": "Pending",
            "containerStatuses": [{
                "state": { "waiting": { "reason": "ErrImageNeverPull", "message": "no image x" } },
                "lastState": { "terminated": { "message": "one\nbad flag\n" } },
            }],
        } });
        assert_eq!(
            not_ready_reason(&pod).unwrap(),
            "p: ErrImageNeverPull no image x bad flag"
        );
        assert!(is_permanent_failure(&pod));
        let unplaced = json!({ "metadata": { "name": "p" }, "status": { "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
              "message": "0/1 nodes are available" }] } });
        assert_eq!(
            not_ready_reason(&unplaced).unwrap(),
            "p: Unschedulable 0/1 nodes are available"
        );
        assert!(!is_permanent_failure(&unplaced));
        let well = json!({ "metadata": { "name": "p" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        assert_eq!(not_ready_reason(&well), None);
    }
}
