//! Drains a node by evictions, which respect disruption budgets. A node that
//! cannot be drained in time is uncordoned, and the error names the blocking
//! pod and budget.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kernel::{Error, Kind, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{Answer, Api};
use crate::http::query;

const MAX_CONCURRENT_EVICTIONS: usize = 16;
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Delay after a refused eviction without `Retry-After`; a replacement pod usually
/// needs less time to become ready.
const RETRY_DELAY: Duration = Duration::from_secs(1);

fn node_path(node: &str) -> String {
    format!("/api/v1/nodes/{}", query(node))
}

/// Sets whether the node accepts new pods.
///
/// # Errors
/// Fails if the API request fails.
pub(crate) async fn cordon(api: &Api, node: &str, unschedulable: bool) -> Result<()> {
    let change = json!({ "spec": { "unschedulable": unschedulable } });
    api.merge(&node_path(node), &change).await.map(|_| ())
}

/// Cordons the node and evicts its pods; returns when only pods of daemon sets and
/// mirror pods are left.
///
/// # Errors
/// NotFound: no such node. Timeout, naming pods and budgets; the node is
/// uncordoned, unless it was cordoned before. Otherwise API errors.
pub(crate) async fn drain(api: &Api, node: &str, until: Instant) -> Result<String> {
    let before = api.get(&node_path(node)).await?;
    cordon(api, node, true).await?;
    // The pods on a node that is down never report their end.
    if !is_ready(&before) {
        return Ok(format!("{node} is down: nothing to wait for"));
    }
    let done = evict_all(api, node, until).await;
    if done.is_err() && before["spec"]["unschedulable"] != true {
        cordon(api, node, false).await?;
    }
    done
}

pub(crate) fn is_ready(node: &Value) -> bool {
    node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// All pods on a node.
///
/// # Errors
/// Fails if the API request fails.
pub(crate) async fn pods_on(api: &Api, node: &str) -> Result<Vec<Value>> {
    let filter = query(&format!("spec.nodeName={node}"));
    let mut list = api
        .get(&format!("/api/v1/pods?fieldSelector={filter}"))
        .await?;
    Ok(match list["items"].take() {
        Value::Array(pods) => pods,
        _ => Vec::new(),
    })
}

async fn evict_all(api: &Api, node: &str, until: Instant) -> Result<String> {
    let pods: Vec<Pod> = pods_on(api, node)
        .await?
        .iter()
        .filter(|pod| !is_not_evictable(pod))
        .map(Pod::of)
        .collect();
    let count = pods.len();
    let failed: Vec<String> = stream::iter(pods)
        .map(|pod| async move { evict(api, &pod, until).await.err() })
        .buffer_unordered(MAX_CONCURRENT_EVICTIONS)
        .filter_map(|e| async move { e.map(|e| e.message) })
        .collect()
        .await;
    if failed.is_empty() {
        Ok(format!("{count} pods left {node}"))
    } else {
        Err(Error::timeout(format!(
            "{node} could not be drained: {}",
            failed.join("; ")
        )))
    }
}

/// Whether a pod is not evicted: a pod of a daemon set would be recreated at once,
/// and a mirror pod belongs to the kubelet.
fn is_not_evictable(pod: &Value) -> bool {
    let meta = &pod["metadata"];
    let mirror = meta["annotations"]
        .get("kubernetes.io/config.mirror")
        .is_some();
    let daemon = meta["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|owner| owner["kind"] == "DaemonSet" && owner["controller"] == true);
    mirror || daemon
}

struct Pod {
    namespace: String,
    name: String,
    uid: String,
}

impl Pod {
    fn of(pod: &Value) -> Self {
        let word = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        Self {
            namespace: word("namespace"),
            name: word("name"),
            uid: word("uid"),
        }
    }

    fn path(&self) -> String {
        format!(
            "/api/v1/namespaces/{}/pods/{}",
            query(&self.namespace),
            query(&self.name)
        )
    }
}

/// The next action after an answer to an eviction.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Wait until the pod is deleted, or another pod has its name.
    Wait,
    /// Repeat the eviction after this time.
    Retry(Duration),
    Done,
    GiveUp,
}

fn next(answer: &Answer) -> Next {
    let terminating = || {
        answer.json()["details"]["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|cause| cause["reason"] == "NamespaceTerminating")
    };
    match answer.status {
        200..=299 => Next::Wait,
        404 => Next::Done,
        429 => Next::Retry(answer.retry_after.map_or(RETRY_DELAY, Duration::from_secs)),
        403 if terminating() => Next::Wait,
        // A pod under two budgets can never be evicted.
        500 => Next::GiveUp,
        // The precondition of a changed pod failed, or the server is shutting
        // down.
        409 | 502..=504 => Next::Retry(Duration::from_secs(1)),
        _ => Next::GiveUp,
    }
}

async fn evict(api: &Api, pod: &Pod, until: Instant) -> Result<()> {
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
    });
    let named = |why: &str| {
        Error::new(
            Kind::Timeout,
            format!("pod {}/{}: {why}", pod.namespace, pod.name),
        )
    };
    let path = format!("{}/eviction", pod.path());
    loop {
        let (pause, why) = match api.post(&path, &body).await {
            Ok(answer) => match next(&answer) {
                Next::Done => return Ok(()),
                Next::Wait => break,
                Next::Retry(pause) => (pause, reason(&answer)),
                Next::GiveUp => return Err(named(&reason(&answer))),
            },
            Err(e) => (Duration::from_secs(1), e.message),
        };
        if Instant::now() + pause >= until {
            return Err(named(&why));
        }
        sleep(pause).await;
    }
    loop {
        match api.get(&pod.path()).await {
            Err(e) if e.is_not_found() => return Ok(()),
            Ok(now) if now["metadata"]["uid"] != pod.uid.as_str() => return Ok(()),
            _ if Instant::now() >= until => {
                return Err(named("it was evicted, but has not ended yet"));
            }
            _ => sleep(POLL_INTERVAL).await,
        }
    }
}

/// The message of the server with its causes, because only they name the budget.
fn reason(answer: &Answer) -> String {
    let body = answer.json();
    let causes: Vec<&str> = body["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|cause| cause["message"].as_str())
        .collect();
    if causes.is_empty() {
        answer.message()
    } else {
        format!("{} {}", answer.message(), causes.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>, body: &Value) -> Answer {
        Answer {
            status,
            retry_after,
            body: body.to_string().into(),
        }
    }

    #[test]
    fn answers_to_evictions_are_understood() {
        let none = Value::Null;
        let budget = json!({
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": { "causes": [{ "reason": "DisruptionBudget",
                "message": "The disruption budget web needs 2 healthy pods and has 2 currently" }] },
        });
        let ending = json!({ "details": { "causes": [{ "reason": "NamespaceTerminating" }] } });
        for (status, after, body, wanted) in [
            (201, None, &none, Next::Wait),
            (404, None, &none, Next::Done),
            (429, None, &budget, Next::Retry(RETRY_DELAY)),
            (429, Some(2), &budget, Next::Retry(Duration::from_secs(2))),
            (403, None, &ending, Next::Wait),
            (403, None, &none, Next::GiveUp),
            (500, None, &none, Next::GiveUp),
        ] {
            assert_eq!(next(&answer(status, after, body)), wanted, "{status}");
        }
        let why = reason(&answer(429, None, &budget));
        assert!(why.contains("disruption budget web needs 2"), "{why}");
    }

    #[test]
    fn daemons_and_mirrors_stay() {
        let daemon = json!({ "metadata": { "ownerReferences": [
            { "kind": "DaemonSet", "controller": true }] } });
        let mirror = json!({ "metadata": { "annotations": {
            "kubernetes.io/config.mirror": "x" } } });
        let plain = json!({ "metadata": { "ownerReferences": [
            { "kind": "ReplicaSet", "controller": true }] } });
        assert!(
            is_not_evictable(&daemon) && is_not_evictable(&mirror) && !is_not_evictable(&plain)
        );
    }
}
