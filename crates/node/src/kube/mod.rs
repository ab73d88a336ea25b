//! Boots a Kubernetes node.
//!
//! ```text
//! prepare ─┬─ containerd ─┬───────────── images ─────────────────────────────────┐
//!          │              └──────────────────┐                                    │
//!          └─ hello ── certificates ─┬─ etcd ── apiserver ─┬─ kubelet ── node ── proxy ─┬─ ready
//!                          (workers) └─ api ───────────────┤                            │
//!                                                          └─ roles ── controllers, addons
//! ```
//! Each part waits only for its dependencies. The plan of the server is stored,
//! so that a node that was ready once boots without the server.

pub(crate) mod addons;
pub(crate) mod api;
mod balancer;
pub(crate) mod certificates;
mod components;
mod config_file;
mod control;
mod defaults;
mod dns;
pub(crate) mod drain;
mod etcd;
mod files;
mod kubelet;
mod logs;
pub(crate) mod machine;
mod masters;
pub(crate) mod network;
mod node;
mod node_facts;
pub(crate) mod observe;
pub(crate) mod plan;
mod renewal;
mod routes;
mod runtime;
mod store;
pub(crate) mod tasks;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::{Error, Result};
use nodewire::{Peers, Role, Welcome};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use self::components::supervisor;
use self::config_file::write_all;
use self::node::Node;
use self::plan::{Image, PKI};
use crate::boot::{Boot, Never};
use crate::report::log_line;
use crate::seed::write_private;

const LOGS: &str = "/var/log/jeroboam";
/// The sum of the time limits of the components.
const STOP_LIMIT: Duration = Duration::from_millis(7_800);

/// The stored answers of the server, for boots without it. Contains the service
/// account key, so it is as private as the keys of certificates.
#[derive(Clone, Serialize, Deserialize)]
struct SavedState {
    welcome: Welcome,
    peers: Option<Peers>,
}

/// Runs the node until `stop` resolves; the components are stopped before it
/// returns.
///
/// # Errors
/// The server refused a node that was never ready.
pub(crate) async fn run_node(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (supervisor, runner) =
        supervisor(boot.reporter.clone(), Path::new(LOGS), boot.session.ready);
    let (halt, halting) = watch::channel(false);
    let kept: Option<SavedState> = std::fs::read_to_string(boot.home.join("kubernetes.json"))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok());
    let (welcome, peers) = kept.map_or((None, None), |k| (Some(k.welcome), k.peers));
    boot.channel.set_known_peers(peers.clone());
    let node = Node {
        boot,
        supervisor,
        peers: watch::channel(peers).0,
        kept: welcome,
        containerd: watch::channel(false).0,
        images: watch::channel(false).0,
        addons: addons::AddonInstaller::new(),
    };
    let runner = runner.run(halting);
    tokio::pin!(runner);
    let outcome = tokio::select! {
        // Ends only when it is stopped.
        () = &mut runner => Ok(()),
        done = node.run() => done,
        () = delivery => Ok(()),
        () = stop => Ok(()),
    };
    halt.send_replace(true);
    if timeout(STOP_LIMIT, runner).await.is_err() {
        log_line("some components did not stop in time; the kernel ends them");
    }
    outcome
}

impl Node<'_> {
    async fn run(&self) -> Result<()> {
        let boot = self.boot;
        let own = boot.own_address().await;
        let hello = boot.hello(own).boxed_local().shared();
        let greet = async {
            let welcome = hello.clone().await?;
            if let Some(plan) = &welcome.kubernetes {
                self.addons.set_options(&plan.options);
            }
            self.keep(&welcome).await
        };
        let life = async {
            if boot.seed.role == Role::Balancer {
                let welcome = match &self.kept {
                    Some(kept) => kept.clone(),
                    None => hello.clone().await?,
                };
                return self.balance(&welcome).await;
            }
            let image = self.prepare().await?;
            let cluster = async {
                let welcome = match &self.kept {
                    Some(kept) => kept.clone(),
                    None => hello.clone().await?,
                };
                // Boxed, because the stack would hold several copies of the
                // value under construction.
                self.run_role(&welcome, &image, own).boxed_local().await
            };
            tokio::try_join!(cluster, self.runtime()).map(|(never, ())| never)
        };
        let (never, _): (Never, Never) = tokio::try_join!(
            boot.report_failure(greet.boxed_local()),
            boot.report_failure(life.boxed_local())
        )?;
        match never {}
    }

    /// Follows the peers that the server sends, and stores them.
    async fn keep(&self, welcome: &Welcome) -> Result<Never> {
        let path = self.boot.home.join("kubernetes.json");
        let store = async {
            let mut peers = self.peers.subscribe();
            loop {
                let kept = SavedState {
                    welcome: welcome.clone(),
                    peers: peers.borrow_and_update().clone(),
                };
                write_private(&path, serde_json::to_string(&kept)?.as_bytes())?;
                if peers.changed().await.is_err() {
                    return Err(Error::internal("the peer updates have ended"));
                }
            }
        };
        let follow = async {
            network::follow(&self.boot.channel, &self.peers).await;
            Err(Error::internal("following the peers ended"))
        };
        tokio::try_join!(store, follow).map(|(never, _): (Never, Never)| never)
    }

    /// Runs a master or worker, from the welcome to its duties when it is ready.
    async fn run_role(&self, welcome: &Welcome, image: &Image, own: IpAddr) -> Result<Never> {
        let boot = self.boot;
        let facts = self.facts(welcome, image, own)?;
        let facts = self.with_members(facts).await?;
        if !certificates::complete(Path::new(PKI), facts.role) {
            let (channel, node) = (&boot.channel, &boot.seed.node);
            let obtain =
                certificates::obtain(channel, &boot.reporter, Path::new(PKI), node, facts.role);
            boot.reporter.run("certificates", obtain).await?;
        }
        let plan = facts.plan.clone();
        let network = async {
            boot.reporter.run("network", network::rules(&plan)).await?;
            routes::keep(&boot.seed.node, self.peers.subscribe()).await;
            Err(Error::internal("keeping the routes ended"))
        };
        let life = async {
            let facts = facts.clone();
            match facts.role {
                Role::Manager => {
                    write_all(&files::all(&facts))?;
                    if let Some(key) = &facts.plan.service_account_key {
                        certificates::token_keys(Path::new(PKI), key)?;
                    }
                    self.master(&facts, welcome, image).boxed_local().await
                }
                Role::Worker | Role::Balancer => {
                    let facts = self.with_api(facts).await?;
                    write_all(&files::all(&facts))?;
                    self.worker(&facts).await
                }
            }
        };
        let renewal = self.renew(&facts);
        tokio::try_join!(
            life.boxed_local(),
            network.boxed_local(),
            renewal.boxed_local()
        )
        .map(|(never, _, _): (Never, Never, Never)| never)
    }
}

#[cfg(test)]
mod tests;
