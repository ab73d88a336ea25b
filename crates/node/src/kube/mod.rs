//! Boots a Kubernetes node.
//!
//! ```text
//! prepare ─┬─ containerd ─┬───────────── images ─────────────────────────────────┐
//!          │              └──────────────────┐                                    │
//!          └─ hello ── certificates ─┬─ etcd ── apiserver ─┬─ kubelet ── node ── proxy ─┬─ ready
//!                          (workers) └─ api ───────────────┤                            │
//!                                                          └─ roles ── controllers, addons
//! ```
//! Each part waits only for its dependencies. The plan of the server is stored:
//! a node that was a member boots without the server.

pub(crate) mod addons;
pub(crate) mod api;
mod balancer;
pub(crate) mod certificates;
mod components;
mod control;
mod defaults;
mod dns;
pub(crate) mod drain;
mod etcd;
mod files;
mod kubelet;
mod logs;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod observe;
pub(crate) mod plan;
mod renewal;
mod routes;
mod store;
pub(crate) mod tasks;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::{Error, Result};
use nodewire::{Peers, Role, StepStatus, Welcome};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use self::api::Api;
use self::components::{Supervisor, is_open, supervisor};
use self::plan::{Component, Facts, IMAGE_FACTS, Image, Member, PKI};
use crate::init::{Boot, Never};
use crate::report::log_line;
use crate::retry::Backoff;
use crate::seed::write_private;
use crate::{images, prepare};

const LOGS: &str = "/var/log/jeroboam";
/// How long a worker delays its kubelet if the API does not answer.
const API_TIMEOUT: Duration = Duration::from_secs(60);
const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(60);
/// More than the sum of the times of the components.
const STOP_LIMIT: Duration = Duration::from_millis(7_800);

/// The stored answers of the server, for boots without it. Contains the service
/// account key, so it is as private as the keys of certificates.
#[derive(Clone, Serialize, Deserialize)]
struct SavedState {
    welcome: Welcome,
    peers: Option<Peers>,
}

/// A running Kubernetes node.
pub(crate) struct Node<'a> {
    boot: &'a Boot,
    supervisor: Supervisor,
    peers: watch::Sender<Option<Peers>>,
    kept: Option<Welcome>,
    /// Whether containerd answers, and whether it has our images.
    containerd: watch::Sender<bool>,
    images: watch::Sender<bool>,
    addons: addons::AddonInstaller,
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
        log_line("components are left to the kernel");
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
                self.addons.ask(&plan.options);
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
                self.member(&welcome, &image, own).boxed_local().await
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
        let remember = async {
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
        tokio::try_join!(remember, follow).map(|(never, _): (Never, Never)| never)
    }

    /// Prepares mounts, devices and image data; starts containerd.
    async fn prepare(&self) -> Result<Image> {
        let (boot, supervisor) = (self.boot, &self.supervisor);
        boot.reporter
            .run("prepare", async {
                prepare::prepare(&boot.seed.node)?;
                machine::prepare(&boot.home)?;
                let text = std::fs::read_to_string(IMAGE_FACTS)
                    .map_err(|e| Error::invalid("image", format!("{IMAGE_FACTS}: {e}")))?;
                let image = Image::parse(&text)?;
                write_all(&files::containerd(&image.images.pause))?;
                store::install_store(Path::new(store::BROUGHT), Path::new(store::DATA)).await?;
                supervisor.start(Component::Containerd, plan::arguments_of_containerd());
                Ok(image)
            })
            .await
    }

    /// Waits for containerd and loads the images of the node.
    async fn runtime(&self) -> Result<()> {
        let reporter = &self.boot.reporter;
        let open = async || {
            tokio::net::UnixStream::connect(plan::CONTAINERD_SOCKET)
                .await
                .is_ok()
        };
        let up = self.supervisor.until(
            Component::Containerd,
            "its socket",
            CONTAINERD_TIMEOUT,
            open,
        );
        reporter.run("containerd", up).await?;
        self.containerd.send_replace(true);
        let import = async |archive: &Path| {
            let archive = archive.to_string_lossy();
            let import = ["-n", "k8s.io", "images", "import", &archive];
            network::run("ctr", &import).await.map(|_| ())
        };
        let marks = Path::new("/var/lib/containerd/.jeroboam-loaded");
        reporter
            .run("images", async {
                images::each(Path::new(images::ARCHIVES), marks, import).await
            })
            .await?;
        self.images.send_replace(true);
        Ok(())
    }

    /// Waits until a flag is set; for ever if its part has failed.
    async fn wait_for(&self, flag: &watch::Sender<bool>) {
        // `self` holds the sender, so the channel cannot close.
        let _ = flag.subscribe().wait_for(|up| *up).await;
    }

    /// From the welcome to a ready member and its duties.
    async fn member(&self, welcome: &Welcome, image: &Image, own: IpAddr) -> Result<Never> {
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
        // A copy, because the state is changed on the way.
        let renewal = self.renew(&facts);
        tokio::try_join!(
            life.boxed_local(),
            network.boxed_local(),
            renewal.boxed_local()
        )
        .map(|(never, _, _): (Never, Never, Never)| never)
    }

    fn facts(&self, welcome: &Welcome, image: &Image, own: IpAddr) -> Result<Facts> {
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
        })
    }

    /// Several masters need each other's addresses before etcd starts, and the
    /// address of the balancer before they request certificates, because it is
    /// a name of their API servers.
    async fn with_members(&self, mut facts: Facts) -> Result<Facts> {
        if facts.is_master() && facts.several_masters() {
            let wanted = facts.plan.masters;
            let known = self.all_masters(wanted, |p| p.api.is_some());
            facts.members = self.boot.reporter.run("peers", known).await?;
            // Other masters may be lost as well and not be members yet.
            let join = &facts.plan.etcd_join;
            if !join.is_empty() {
                facts.members.retain(|m| join.contains(&m.name));
            }
        }
        Ok(facts)
    }

    /// Whether the etcd of this master was once part of a quorum.
    pub(super) fn had_etcd_quorum(&self) -> bool {
        self.boot.home.join(control::QUORUM).exists()
    }

    /// Waits until this many masters have registered and `more` holds.
    async fn all_masters(&self, wanted: u32, more: fn(&Peers) -> bool) -> Result<Vec<Member>> {
        let mut peers = self.peers.subscribe();
        let enough = |p: &Peers| masters(p).len() >= wanted as usize && more(p);
        let known = peers
            .wait_for(|p| p.as_ref().is_some_and(enough))
            .await
            .map_err(|_| Error::internal("the peer updates have ended"))?;
        Ok(known.as_ref().map(masters).unwrap_or_default())
    }

    /// Waits for the address of the API and, within limits, for its answer.
    async fn with_api(&self, mut facts: Facts) -> Result<Facts> {
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

fn masters(peers: &Peers) -> Vec<Member> {
    let mut all: Vec<Member> = peers
        .nodes
        .iter()
        .filter(|p| p.role == Role::Manager)
        .map(|p| Member {
            name: p.node.clone(),
            address: p.address.clone(),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Files that are rewritten at every boot need no flush to disk.
fn write_all(files: &[files::File]) -> Result<()> {
    for file in files {
        let path = Path::new(&file.path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path, &file.content))
            .map_err(|e| Error::internal(format!("writing {}: {e}", file.path)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
