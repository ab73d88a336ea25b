//! One boot of a Kubernetes node.
//!
//! ```text
//! prepare ─┬─ containerd ─┬───────────── images ─────────────────────────────────┐
//!          │              └──────────────────┐                                    │
//!          └─ hello ── certificates ─┬─ etcd ── apiserver ─┬─ kubelet ── node ── proxy ─┬─ ready
//!                          (workers) └─ api ───────────────┤                            │
//!                                                          └─ roles ── controllers, addons
//! ```
//! Nothing waits for what it does not need. What the server said is kept:
//! a node that was a member comes back without it.

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
use self::components::{Crew, crew, is_open};
use self::plan::{Component, Facts, IMAGE_FACTS, Image, Member, PKI};
use crate::init::{Boot, Never};
use crate::report::say;
use crate::retry::Backoff;
use crate::seed::write_private;
use crate::{images, prepare};

const LOGS: &str = "/var/log/jeroboam";
/// How long a worker holds its kubelet back for an API that does not answer.
const API_PATIENCE: Duration = Duration::from_secs(60);
const CONTAINERD_PATIENCE: Duration = Duration::from_secs(60);
/// Above the sum of what the components may take.
const STOP_LIMIT: Duration = Duration::from_millis(7_800);

/// What the server said, kept for boots without it. Holds the service
/// account key: as private as the certificates' keys.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    welcome: Welcome,
    peers: Option<Peers>,
}

/// A Kubernetes node at work.
pub(crate) struct Node<'a> {
    boot: &'a Boot,
    crew: Crew,
    peers: watch::Sender<Option<Peers>>,
    kept: Option<Welcome>,
    /// Whether containerd answers, and whether it holds our images.
    containerd: watch::Sender<bool>,
    images: watch::Sender<bool>,
    addons: addons::Desk,
}

/// Runs the node until `stop` ends; the components end before it returns.
///
/// # Errors
/// The server refused a node that was never ready.
pub(crate) async fn live(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (crew, runner) = crew(boot.reporter.clone(), Path::new(LOGS), boot.session.ready);
    let (halt, halting) = watch::channel(false);
    let kept: Option<Kept> = std::fs::read_to_string(boot.home.join("kubernetes.json"))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok());
    let (welcome, peers) = kept.map_or((None, None), |k| (Some(k.welcome), k.peers));
    boot.channel.know_peers(peers.clone());
    let node = Node {
        boot,
        crew,
        peers: watch::channel(peers).0,
        kept: welcome,
        containerd: watch::channel(false).0,
        images: watch::channel(false).0,
        addons: addons::Desk::new(),
    };
    let runner = runner.run(halting);
    tokio::pin!(runner);
    let outcome = tokio::select! {
        // Ends when told to only.
        () = &mut runner => Ok(()),
        done = node.run() => done,
        () = delivery => Ok(()),
        () = stop => Ok(()),
    };
    halt.send_replace(true);
    if timeout(STOP_LIMIT, runner).await.is_err() {
        say("components are left to the kernel");
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
                // Boxed: the stack holds several copies of what is being built.
                self.member(&welcome, &image, own).boxed_local().await
            };
            tokio::try_join!(cluster, self.runtime()).map(|(never, ())| never)
        };
        let (never, _): (Never, Never) = tokio::try_join!(
            boot.hold(greet.boxed_local()),
            boot.hold(life.boxed_local())
        )?;
        match never {}
    }

    /// Follows what the server tells of the other nodes, and remembers it.
    async fn keep(&self, welcome: &Welcome) -> Result<Never> {
        let path = self.boot.home.join("kubernetes.json");
        let remember = async {
            let mut peers = self.peers.subscribe();
            loop {
                let kept = Kept {
                    welcome: welcome.clone(),
                    peers: peers.borrow_and_update().clone(),
                };
                write_private(&path, serde_json::to_string(&kept)?.as_bytes())?;
                if peers.changed().await.is_err() {
                    return Err(Error::internal("nobody follows the peers"));
                }
            }
        };
        let follow = async {
            network::follow(&self.boot.channel, &self.peers).await;
            Err(Error::internal("following the peers ended"))
        };
        tokio::try_join!(remember, follow).map(|(never, _): (Never, Never)| never)
    }

    /// Mounts, devices and the image's own facts; starts containerd.
    async fn prepare(&self) -> Result<Image> {
        let (boot, crew) = (self.boot, &self.crew);
        boot.reporter
            .run("prepare", async {
                prepare::prepare(&boot.seed.node)?;
                machine::prepare(&boot.home)?;
                let text = std::fs::read_to_string(IMAGE_FACTS)
                    .map_err(|e| Error::invalid("image", format!("{IMAGE_FACTS}: {e}")))?;
                let image = Image::parse(&text)?;
                write_all(&[files::containerd(&image.images.pause)])?;
                store::provide(Path::new(store::BROUGHT), Path::new(store::DATA)).await?;
                crew.start(Component::Containerd, plan::arguments_of_containerd());
                Ok(image)
            })
            .await
    }

    /// containerd answers and holds the images that the node brought along.
    async fn runtime(&self) -> Result<()> {
        let reporter = &self.boot.reporter;
        let open = async || {
            tokio::net::UnixStream::connect(plan::CONTAINERD_SOCKET)
                .await
                .is_ok()
        };
        let up = self.crew.until(
            Component::Containerd,
            "its socket",
            CONTAINERD_PATIENCE,
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

    /// Waits until a flag is up; for ever where its strand has failed.
    async fn wait_for(&self, flag: &watch::Sender<bool>) {
        // Held by `self`: it cannot close.
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
            network::keep_routes(&boot.seed.node, self.peers.subscribe()).await;
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
        // It has its own: the life's are changed on the way.
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
            // A master's own; it lives and dies with its API server.
            api: format!("127.0.0.1:{}", plan.api_port),
            etcd_known: !plan.etcd_join.is_empty() || self.had_quorum(),
            plan,
            members: Vec::new(),
            memory: machine::memory(),
        })
    }

    /// Several masters know each other before etcd starts, and the address
    /// of the balancer before they ask for certificates: it is in the names
    /// of their API servers.
    async fn with_members(&self, mut facts: Facts) -> Result<Facts> {
        if facts.is_master() && facts.several_masters() {
            let wanted = facts.plan.masters;
            let known = self.all_masters(wanted, |p| p.api.is_some());
            facts.members = self.boot.reporter.run("peers", known).await?;
            // Others may be lost as well, and no members yet.
            let join = &facts.plan.etcd_join;
            if !join.is_empty() {
                facts.members.retain(|m| join.contains(&m.name));
            }
        }
        Ok(facts)
    }

    /// Whether this master's etcd was once one of a quorum.
    pub(super) fn had_quorum(&self) -> bool {
        self.boot.home.join(control::QUORUM).exists()
    }

    /// Waits until so many masters have said hello, and `more` holds.
    async fn all_masters(&self, wanted: u32, more: fn(&Peers) -> bool) -> Result<Vec<Member>> {
        let mut peers = self.peers.subscribe();
        let enough = |p: &Peers| masters(p).len() >= wanted as usize && more(p);
        let known = peers
            .wait_for(|p| p.as_ref().is_some_and(enough))
            .await
            .map_err(|_| Error::internal("nobody follows the peers"))?;
        Ok(known.as_ref().map(masters).unwrap_or_default())
    }

    /// Waits for the API's address and, within reason, for its answer.
    async fn with_api(&self, mut facts: Facts) -> Result<Facts> {
        let step = |status, log: &str| self.boot.reporter.step("api", status, log);
        step(StepStatus::Start, "");
        let mut peers = self.peers.subscribe();
        let known = peers
            .wait_for(|p| p.as_ref().is_some_and(|p| p.api.is_some()))
            .await
            .map_err(|_| Error::internal("nobody follows the peers"))?;
        if let Some(api) = known.as_ref().and_then(|p| p.api.clone()) {
            facts.api = api;
        }
        drop(known);
        let api = Api::new(&facts.api, Path::new(PKI), "kubelet")?;
        // An API server opens its port long before it answers, and lets
        // clients wait: what the kubelet does before its first question may
        // be done by then. A balancer's is open before all.
        let balanced = facts.several_masters();
        let open = async {
            let mut backoff = Backoff::new(20, 50);
            while !is_open(facts.api.as_str()).await || balanced && !api.answers().await {
                backoff.pause().await;
            }
        };
        if timeout(API_PATIENCE, open).await.is_ok() {
            step(StepStatus::Ok, "");
        } else {
            // The kubelet tries by itself; a master may only be slow.
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

/// Files that every boot writes anew need not be on disk at once.
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
