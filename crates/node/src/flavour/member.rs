//! The parts that all nodes of foreign images share: becoming ready, and the
//! duties of a master.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::{Error, Result};
use nodewire::{Peers, Role, Welcome};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::boot::{Boot, Never};
use crate::engine::text;
use crate::http::query;
use crate::kube::addons::AddonInstaller;
use crate::kube::api::Api;
use crate::kube::plan::Facts;
use crate::kube::{drain, machine, network, observe, tasks};
use crate::prepare::in_user_namespace;
use crate::report::plain;

const NODE_TIMEOUT: Duration = Duration::from_secs(180);
const API_TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const MIB: u64 = 1024 * 1024;
/// Memory used by the agent, containerd and the kubelet.
const OWN_MEMORY: u64 = 250 * MIB;

/// Directory of the certificates signed by the server.
pub(super) fn pki(boot: &Boot) -> PathBuf {
    boot.home.join("pki")
}

/// Value of the kubelet's `--system-reserved`: the kubelet sees the memory of
/// the whole host, so the part that does not belong to this node is reserved.
/// `None`: no limit is set.
pub(super) fn reserved(f: &Facts) -> Option<String> {
    let (limit, total) = f.memory?;
    let bytes = (limit < total).then(|| (total - limit + OWN_MEMORY).min(total - 64 * MIB))?;
    Some(format!("memory={}Mi", bytes / MIB))
}

/// Runs a node until `stop` resolves: registers, follows the peers, and runs
/// `run_role` with the welcome.
///
/// # Errors
/// The server refused a node that was never ready.
pub(super) async fn run_node<F: Future<Output = Result<Never>>>(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
    run_role: impl FnOnce(Welcome, std::net::IpAddr, watch::Receiver<Option<Peers>>) -> F,
) -> Result<()> {
    let own = boot.own_address().await;
    let (known, peers) = watch::channel(None);
    let hello = boot.hello(own).boxed_local().shared();
    let follow = async {
        hello.clone().await?;
        network::follow(&boot.channel, &known).await;
        Err::<Never, _>(Error::internal("following the peers ended"))
    };
    let run_role = async {
        let welcome = hello.clone().await?;
        if welcome.role == Role::Balancer {
            return Err(Error::internal(
                "only the image of Jeroboam contains a balancer",
            ));
        }
        run_role(welcome, own, peers).await
    };
    let both = async {
        tokio::try_join!(boot.report_failure(follow), boot.report_failure(run_role)).map(|_| ())
    };
    tokio::select! {
        done = both => done,
        () = delivery => Ok(()),
        () = stop => Ok(()),
    }
}

/// Inputs of all configurations. `minor` is the release of the image.
///
/// # Errors
/// Internal: the server sent no plan.
pub(super) fn facts(
    boot: &Boot,
    welcome: &Welcome,
    own: std::net::IpAddr,
    minor: u16,
) -> Result<Facts> {
    let mut plan = welcome
        .kubernetes
        .clone()
        .ok_or_else(|| Error::internal("the server sent no plan for Kubernetes"))?;
    // The image has its own add-ons, so labels install none.
    plan.options.clear();
    Ok(Facts {
        node: boot.seed.node.clone(),
        cluster: boot.seed.cluster.clone(),
        own,
        role: welcome.role,
        minor,
        api: format!("127.0.0.1:{}", plan.api_port),
        plan,
        members: Vec::new(),
        etcd_known: false,
        memory: machine::memory(),
        in_user_namespace: in_user_namespace(),
    })
}

/// Waits until the server sends the address of the API.
pub(super) async fn api_address(peers: &watch::Receiver<Option<Peers>>) -> Result<String> {
    let mut peers = peers.clone();
    let known = peers
        .wait_for(|p| p.as_ref().is_some_and(|p| p.api.is_some()))
        .await
        .map_err(|_| Error::internal("the peer updates have ended"))?;
    known
        .as_ref()
        .and_then(|p| p.api.clone())
        .ok_or_else(|| Error::internal("the API has no address"))
}

/// Waits until the API answers.
///
/// # Errors
/// Timeout.
pub(super) async fn answers(api: &Api, at: &str) -> Result<()> {
    let until = Instant::now() + API_TIMEOUT;
    while !api.answers().await {
        if Instant::now() >= until {
            return Err(Error::timeout(format!(
                "the API at {at} does not answer within {} s",
                API_TIMEOUT.as_secs()
            )));
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Waits until this node is Ready; returns its uid.
///
/// # Errors
/// Timeout, with the reason that the cluster reports.
pub(super) async fn node_ready(api: &Api, node: &str) -> Result<String> {
    let until = Instant::now() + NODE_TIMEOUT;
    let path = format!("/api/v1/nodes/{}", query(node));
    loop {
        let why = match api.get(&path).await {
            Ok(found) if drain::is_ready(&found) => return Ok(text(&found["metadata"]["uid"])),
            Ok(found) => unready_reason(&found),
            Err(e) if e.is_not_found() => "it has not registered".to_owned(),
            Err(e) => plain(&e),
        };
        if Instant::now() >= until {
            return Err(Error::timeout(format!(
                "node {node} is not Ready within {} s: {why}",
                NODE_TIMEOUT.as_secs()
            )));
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn unready_reason(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Ready")
        .map_or_else(
            || "its kubelet has not reported yet".to_owned(),
            |c| text(&c["message"]),
        )
}

/// Duties of a master once its API answers: reports observations, becomes
/// ready, runs tasks.
pub(super) async fn master(
    boot: &Boot,
    facts: &Facts,
    dir: &Path,
    peers: &watch::Receiver<Option<Peers>>,
    ready: impl Future<Output = Result<String>>,
) -> Result<Never> {
    let api = Api::new(&facts.api, dir, "admin")?;
    let channel = &boot.channel;
    let (ready, observing) = (
        async {
            let uid = ready.await?;
            boot.ready(&uid).await?;
            tasks::run(&api, channel).await;
            Err::<Never, _>(Error::internal("a master's duties ended"))
        },
        async {
            let installer = AddonInstaller::new();
            observe::observe(&api, channel, facts, peers, &installer).await;
            Err::<Never, _>(Error::internal("observing ended"))
        },
    );
    // A failed master still reports its observations.
    let ready = boot.report_failure(ready);
    tokio::try_join!(ready, observing).map(|(never, _)| never)
}
