//! The kubelet of this node, from its start until the node is Ready, and the
//! service proxy that starts afterwards.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::Result;
use serde_json::Value;

use super::api::Api;
use super::drain;
use super::node::{Node, local};
use super::plan::{Component, Facts, PKI};
use crate::engine::text;
use crate::http::query;
use crate::report::plain;
use crate::retry::Backoff;

const KUBELET_TIMEOUT: Duration = Duration::from_secs(60);
const PROXY_TIMEOUT: Duration = Duration::from_secs(20);
const NODE_TIMEOUT: Duration = Duration::from_secs(180);

impl Node<'_> {
    /// Waits until the kubelet reports Ready after `since` (RFC 3339), the time
    /// of its start; returns the uid of the Node.
    pub(super) async fn node(&self, facts: &Facts, api: &Api, since: &str) -> Result<String> {
        self.wait_for(&self.containerd).await;
        self.begin(facts, Component::Kubelet);
        let reporter = &self.boot.reporter;
        let up = self
            .supervisor
            .answers(Component::Kubelet, local(10248), KUBELET_TIMEOUT);
        reporter.run("kubelet", up).await?;
        let uid = reporter
            .run("node", self.node_ready(facts, api, since))
            .await?;
        // kube-proxy is started only now, because its start would compete with
        // the kubelet for CPU, and no pod needs services before.
        if let Ok(proxy) = Api::new(&facts.api, Path::new(PKI), "kube-proxy") {
            proxy.wait_until_allowed("/api/v1/services?limit=1").await;
        }
        self.begin(facts, Component::Proxy);
        // The images are needed only now, because no pod can run before.
        self.wait_for(&self.images).await;
        let services = self
            .supervisor
            .answers(Component::Proxy, local(10256), PROXY_TIMEOUT);
        if let Err(e) = services.await {
            // The node is ready even if kube-proxy does not answer.
            reporter.step("kube-proxy", nodewire::StepStatus::Retrying, plain(&e));
        }
        Ok(uid)
    }

    /// Waits for a Ready status that was reported after `since`, because the API
    /// still has the status of an earlier boot.
    async fn node_ready(&self, facts: &Facts, api: &Api, since: &str) -> Result<String> {
        let path = format!(
            "/api/v1/nodes?watch=true&timeoutSeconds=60&fieldSelector={}",
            query(&format!("metadata.name={}", facts.node))
        );
        // The reason that the cluster reports.
        let why = Mutex::new(String::from("it has not registered"));
        let set_reason =
            |reason: String| *why.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        let watch = async {
            let mut backoff = Backoff::new(50, 1_000);
            loop {
                let seen = api
                    .watch(&path, |_, node| {
                        if drain::is_ready(node) && last_ready_heartbeat(node).as_str() >= since {
                            return Some(text(&node["metadata"]["uid"]));
                        }
                        set_reason(unready_reason(node));
                        None
                    })
                    .await;
                match seen {
                    Ok(Some(uid)) => return uid,
                    Ok(None) => {}
                    Err(e) => set_reason(plain(&e)),
                }
                backoff.pause().await;
            }
        };
        let time_limit = self.supervisor.step_timeout(NODE_TIMEOUT);
        let watch = tokio::time::timeout(time_limit, watch);
        let seen = tokio::select! {
            seen = watch => seen,
            e = self.supervisor.wait_until_failed(Component::Kubelet) => return Err(e),
        };
        seen.map_err(|_| {
            let why = why.lock().unwrap_or_else(PoisonError::into_inner);
            self.supervisor.component_error(
                Component::Kubelet,
                &format!(
                    "the node is not Ready within {} s: {why}",
                    time_limit.as_secs()
                ),
            )
        })
    }
}

fn ready_condition(node: &Value) -> Option<&Value> {
    let all = node["status"]["conditions"].as_array()?;
    all.iter().find(|c| c["type"] == "Ready")
}

/// When the kubelet last reported its status; RFC 3339 in UTC, whole seconds.
fn last_ready_heartbeat(node: &Value) -> String {
    ready_condition(node)
        .map(|c| text(&c["lastHeartbeatTime"]))
        .unwrap_or_default()
}

/// Why a node is not Ready, as reported by its kubelet.
fn unready_reason(node: &Value) -> String {
    ready_condition(node)
        .map(|c| format!("{}: {}", text(&c["reason"]), text(&c["message"])))
        .unwrap_or_else(|| "it has no condition Ready".into())
}
