//! This node's kubelet, from its start until the cluster calls the node
//! Ready, and the proxy that follows it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::Result;
use serde_json::Value;

use super::api::Api;
use super::control::local;
use super::plan::{Component, Facts, PKI};
use super::{Node, drain};
use crate::engine::{query, text};
use crate::report::plain;
use crate::retry::Backoff;

const KUBELET_PATIENCE: Duration = Duration::from_secs(60);
const PROXY_PATIENCE: Duration = Duration::from_secs(20);
const NODE_PATIENCE: Duration = Duration::from_secs(180);

impl Node<'_> {
    /// The kubelet runs and says Ready, `since` (RFC 3339) it may have been
    /// started; gives the Node's uid.
    pub(super) async fn node(&self, facts: &Facts, api: &Api, since: &str) -> Result<String> {
        self.wait_for(&self.containerd).await;
        self.begin(facts, Component::Kubelet);
        let reporter = &self.boot.reporter;
        let up = self
            .crew
            .answers(Component::Kubelet, local(10248), KUBELET_PATIENCE);
        reporter.run("kubelet", up).await?;
        let uid = reporter
            .run("node", self.node_ready(facts, api, since))
            .await?;
        // As everywhere where it is a pod: its start would take processor
        // time from the kubelet's, and no pod is here before.
        if let Ok(proxy) = Api::new(&facts.api, Path::new(PKI), "kube-proxy") {
            self.allowed(&proxy, "/api/v1/services?limit=1").await;
        }
        self.begin(facts, Component::Proxy);
        // No pod needs them before there is a node to place it on.
        self.wait_for(&self.images).await;
        let services = self
            .crew
            .answers(Component::Proxy, local(10256), PROXY_PATIENCE);
        if let Err(e) = services.await {
            // A node of the cluster all the same: it is only without services.
            reporter.step("kube-proxy", nodewire::StepStatus::Retrying, plain(&e));
        }
        Ok(uid)
    }

    /// Ready since this boot: what an earlier one said still stands there.
    async fn node_ready(&self, facts: &Facts, api: &Api, since: &str) -> Result<String> {
        let path = format!(
            "/api/v1/nodes?watch=true&timeoutSeconds=60&fieldSelector={}",
            query(&format!("metadata.name={}", facts.node))
        );
        // What is in the way, in the cluster's words.
        let why = Mutex::new(String::from("it has not registered"));
        let note = |words: String| *why.lock().unwrap_or_else(PoisonError::into_inner) = words;
        let watch = async {
            let mut backoff = Backoff::new(50, 1_000);
            loop {
                let seen = api
                    .watch(&path, |_, node| {
                        if drain::is_ready(node) && heard_of(node).as_str() >= since {
                            return Some(text(&node["metadata"]["uid"]));
                        }
                        note(unready(node));
                        None
                    })
                    .await;
                match seen {
                    Ok(Some(uid)) => return uid,
                    Ok(None) => {}
                    Err(e) => note(plain(&e)),
                }
                backoff.pause().await;
            }
        };
        let patience = self.crew.patience(NODE_PATIENCE);
        let watch = tokio::time::timeout(patience, watch);
        let seen = tokio::select! {
            seen = watch => seen,
            e = self.crew.dies(Component::Kubelet) => return Err(e),
        };
        seen.map_err(|_| {
            let why = why.lock().unwrap_or_else(PoisonError::into_inner);
            self.crew.blame(
                Component::Kubelet,
                &format!(
                    "the node is not Ready within {} s: {why}",
                    patience.as_secs()
                ),
            )
        })
    }
}

fn ready_condition(node: &Value) -> Option<&Value> {
    let all = node["status"]["conditions"].as_array()?;
    all.iter().find(|c| c["type"] == "Ready")
}

/// When the kubelet last said so; RFC 3339 in UTC, whole seconds.
fn heard_of(node: &Value) -> String {
    ready_condition(node)
        .map(|c| text(&c["lastHeartbeatTime"]))
        .unwrap_or_default()
}

/// Why a node is not Ready, as its kubelet says.
fn unready(node: &Value) -> String {
    ready_condition(node)
        .map(|c| format!("{}: {}", text(&c["reason"]), text(&c["message"])))
        .unwrap_or_else(|| "it has no condition Ready".into())
}
