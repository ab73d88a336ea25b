//! What became of an add-on, in the cluster's own words.

use kernel::Result;
use nodewire::Addon;
use serde_json::Value;

use super::apply::{holds, path_of};
use super::{SYSTEM, is_ours};
use crate::engine::{query, text};
use crate::kube::api::Api;

/// Why a container waits when waiting longer does not help by itself.
const HOPELESS: [&str; 8] = [
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

/// `ready` once everything that `objects` start runs and answers.
///
/// # Errors
/// As the API.
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
            let why = format!("{} is not ours", text(&now["metadata"]["name"]));
            return Ok(addon(name, "pending", why));
        }
        if kind == "APIService" {
            if !holds(&now, "Available") {
                return Ok(addon(name, "pending", unavailable(&now)));
            }
        } else if !runs(&kind, &now) {
            let selector = &object["spec"]["selector"]["matchLabels"];
            let space = text(&object["metadata"]["namespace"]);
            let (hopeless, words) = pods(api, &space, selector).await;
            let state = if hopeless { "failed" } else { "pending" };
            return Ok(addon(name, state, words));
        }
    }
    Ok(addon(name, "ready", ""))
}

/// Whether a workload is where its newest specification wants it.
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

fn unavailable(service: &Value) -> String {
    let all = service["status"]["conditions"].as_array();
    all.into_iter()
        .flatten()
        .find(|c| c["type"] == "Available")
        .map(|c| format!("{}: {}", text(&c["reason"]), text(&c["message"])))
        .unwrap_or_else(|| "the API server has not looked yet".into())
}

/// Why pods do not run, and whether that will not mend itself.
async fn pods(api: &Api, space: &str, labels: &Value) -> (bool, String) {
    let selector: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    let path = format!(
        "/api/v1/namespaces/{space}/pods?labelSelector={}",
        query(&selector.join(","))
    );
    let pods = api.get(&path).await.unwrap_or(Value::Null);
    let all: Vec<&Value> = pods["items"].as_array().into_iter().flatten().collect();
    let words: Vec<String> = all.iter().filter_map(|pod| words_of(pod)).collect();
    let words = if words.is_empty() {
        "no pod was created yet".into()
    } else {
        words.join("; ")
    };
    (all.iter().any(|pod| is_hopeless(pod)), words)
}

fn waiting(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["waiting"]
}

fn is_hopeless(pod: &Value) -> bool {
    let reason = text(&waiting(pod)["reason"]);
    HOPELESS.contains(&reason.as_str())
}

/// Nothing of a pod that is well.
fn words_of(pod: &Value) -> Option<String> {
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
    // What a container said before it ended, where it was asked to.
    let last = &status["containerStatuses"][0]["lastState"]["terminated"]["message"];
    let said = last.as_str().map(str::trim).unwrap_or_default();
    let said = said.lines().last().unwrap_or_default();
    Some(
        [
            name,
            ": ",
            reason,
            " ",
            message.unwrap_or_default(),
            " ",
            said,
        ]
        .concat()
        .trim_end()
        .to_owned(),
    )
}

/// The cluster's DNS.
///
/// # Errors
/// As the API.
pub(super) async fn dns(api: &Api) -> Result<Addon> {
    let path = format!("/apis/apps/v1/namespaces/{SYSTEM}/deployments/coredns");
    match api.get(&path).await {
        Ok(now) => {
            let available = now["status"]["availableReplicas"].as_u64().unwrap_or(0);
            Ok(if available > 0 {
                addon("coredns", "ready", "")
            } else {
                addon("coredns", "pending", pods_words(api).await)
            })
        }
        Err(e) if e.is_not_found() => Ok(addon("coredns", "pending", "not applied yet")),
        Err(e) => Err(e),
    }
}

/// Whether a pod of the DNS answers its readiness probe.
///
/// # Errors
/// As the API.
pub(crate) async fn dns_ready(api: &Api) -> Result<bool> {
    Ok(dns(api).await?.state == "ready")
}

/// Why the DNS' pods do not run, in the cluster's words.
pub(crate) async fn pods_words(api: &Api) -> String {
    let selector = serde_json::json!({ "k8s-app": "kube-dns" });
    pods(api, SYSTEM, &selector).await.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workloads_run_when_the_newest_of_them_does() {
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
    fn pods_tell_what_is_in_their_way() {
        let pod = json!({ "metadata": { "name": "p" }, "status": {
            "phase": "Pending",
            "containerStatuses": [{
                "state": { "waiting": { "reason": "ErrImageNeverPull", "message": "no image x" } },
                "lastState": { "terminated": { "message": "one\nbad flag\n" } },
            }],
        } });
        assert_eq!(
            words_of(&pod).unwrap(),
            "p: ErrImageNeverPull no image x bad flag"
        );
        assert!(is_hopeless(&pod));
        let unplaced = json!({ "metadata": { "name": "p" }, "status": { "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
              "message": "0/1 nodes are available" }] } });
        assert_eq!(
            words_of(&unplaced).unwrap(),
            "p: Unschedulable 0/1 nodes are available"
        );
        assert!(!is_hopeless(&unplaced));
        let well = json!({ "metadata": { "name": "p" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        assert_eq!(words_of(&well), None);
    }
}
