//! Collects the inputs of flags and files in a running node.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{StepStatus, Welcome};
use tokio::time::timeout;

use super::api::Api;
use super::components::is_open;
use super::machine;
use super::node::Node;
use super::plan::{Facts, Image, PKI};
use crate::prepare::in_user_namespace;
use crate::retry::Backoff;

/// Time that a worker waits for the API before it starts its kubelet.
const API_TIMEOUT: Duration = Duration::from_secs(60);

impl Node<'_> {
    pub(super) fn facts(&self, welcome: &Welcome, image: &Image, own: IpAddr) -> Result<Facts> {
        let plan = welcome
            .kubernetes
            .clone()
            .ok_or_else(|| Error::internal("the server sent no plan for Kubernetes"))?;
        Ok(Facts {
            node: self.boot.seed.node.clone(),
            cluster: self.boot.seed.cluster.clone(),
            own,
            role: welcome.role,
            minor: image.minor(),
            // Each master uses its local API server.
            api: format!("127.0.0.1:{}", plan.api_port),
            etcd_known: !plan.etcd_join.is_empty() || self.had_etcd_quorum(),
            plan,
            members: Vec::new(),
            memory: machine::memory(),
            in_user_namespace: in_user_namespace(),
        })
    }

    /// Adds the members of etcd, if there are several masters. They need each
    /// other's addresses before etcd starts, and the address of the balancer
    /// before they request certificates, because the certificates of their API
    /// servers contain it.
    pub(super) async fn with_members(&self, mut facts: Facts) -> Result<Facts> {
        if facts.is_master() && facts.several_masters() {
            let wanted = facts.plan.masters;
            let known = self.all_masters(wanted, |p| p.api.is_some());
            facts.members = self.boot.reporter.run("peers", known).await?;
            // A master that was also lost may not be a member of etcd yet.
            let join = &facts.plan.etcd_join;
            if !join.is_empty() {
                facts.members.retain(|m| join.contains(&m.name));
            }
        }
        Ok(facts)
    }

    /// Waits for the address of the API and, for at most `API_TIMEOUT`, for its
    /// answer.
    pub(super) async fn with_api(&self, mut facts: Facts) -> Result<Facts> {
        let step = |status, log: &str| self.boot.reporter.step("api", status, log);
        step(StepStatus::Start, "");
        let mut peers = self.peers.subscribe();
        let known = peers
            .wait_for(|p| p.as_ref().is_some_and(|p| p.api.is_some()))
            .await
            .map_err(|_| Error::internal("the peer updates have ended"))?;
        if let Some(api) = known.as_ref().and_then(|p| p.api.clone()) {
            facts.api = api;
        }
        drop(known);
        let api = Api::new(&facts.api, Path::new(PKI), "kubelet")?;
        // An API server opens its port long before it answers, and lets clients
        // wait: the kubelet can finish its preparation before its first request
        // is answered. The port of a balancer is open even earlier.
        let balanced = facts.several_masters();
        let open = async {
            let mut backoff = Backoff::new(20, 50);
            while !is_open(facts.api.as_str()).await || balanced && !api.answers().await {
                backoff.pause().await;
            }
        };
        if timeout(API_TIMEOUT, open).await.is_ok() {
            step(StepStatus::Ok, "");
        } else {
            // The kubelet retries by itself; a master may only be slow.
            let why = format!("{} does not answer yet", facts.api);
            step(StepStatus::Retrying, &why);
        }
        Ok(facts)
    }
}
