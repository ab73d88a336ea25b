//! Boots a node of `rancher/k3s`: the agent prepares the container, runs k3s as
//! its child, and performs the duties of a master.
//!
//! ```text
//! prepare ── hello ─┬─ (master) k3s server ── token published ─┬─ node ── ready
//!                   └─ (worker) join, api ── k3s agent ────────┘
//! ```

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result, ids};
use nodewire::{Peers, Published, Role, Welcome};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::actions::ActionRunner;
use super::k3s_plan::{self as plan, Command};
use super::member;
use crate::boot::{Boot, Never};
use crate::kube::api::Api;
use crate::kube::machine;
use crate::kube::plan::Facts;
use crate::prepare::prepare as prepare_mounts;
use crate::report::{log_line, plain};
use crate::retry::Backoff;
use crate::seed::write_private;
use crate::supervise::{self, Service};

const SERVER_TIMEOUT: Duration = Duration::from_secs(180);
/// The stored k3s command line, relative to our directory.
const COMMAND: &str = "k3s.json";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the node until `stop` resolves, and stops k3s.
///
/// # Errors
/// The server refused a node that was never ready.
pub(crate) async fn run_node(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let prepared = prepare(boot).await;
    // A node with a stored command line starts without the server.
    let (wanted, command) = watch::channel(stored(boot).filter(|_| prepared.is_ok()));
    let (halt, halting) = watch::channel(false);
    let child = run_child(boot, command, halting);
    tokio::pin!(child);
    let node = member::run_node(boot, delivery, stop, |welcome, own, peers| {
        run_role(boot, prepared, welcome, own, peers, wanted)
    });
    let outcome = tokio::select! {
        done = node => done,
        // The supervisor of k3s ends by itself only if it cannot start k3s.
        ended = &mut child => return ended,
    };
    halt.send_replace(true);
    child.await?;
    outcome
}

/// Starts k3s as soon as its command line is known.
async fn run_child(
    boot: &Boot,
    mut command: watch::Receiver<Option<Command>>,
    mut halting: watch::Receiver<bool>,
) -> Result<()> {
    let command = tokio::select! {
        known = command.wait_for(Option::is_some) => known.ok().and_then(|c| c.clone()),
        _ = halting.wait_for(|now| *now) => return Ok(()),
    };
    let Some(command) = command else {
        // The node failed before it had a command line. The container keeps
        // running, so that it can be inspected.
        let _ = halting.wait_for(|now| *now).await;
        return Ok(());
    };
    let service = Service {
        program: plan::PROGRAM.into(),
        arguments: command.arguments,
        env: command.env,
        step: "k3s",
    };
    supervise::run(&service, &boot.reporter, &boot.tail, halting).await
}

/// Prepares the container for k3s; returns the release of the image.
async fn prepare(boot: &Boot) -> Result<u16> {
    let work = async {
        prepare_mounts(&boot.seed.node)?;
        machine::prepare(&boot.home)?;
        let arguments = [plan::PROGRAM, "--version"].map(str::to_owned);
        let output = ActionRunner::node()
            .run(&arguments, "", Duration::from_secs(30))
            .await?;
        plan::minor(&output)
    };
    boot.reporter.run("prepare", work).await
}

/// The command line of an earlier boot.
fn stored(boot: &Boot) -> Option<Command> {
    let text = fs::read_to_string(boot.home.join(COMMAND)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Starts k3s, and stores its command line.
fn start(boot: &Boot, wanted: &watch::Sender<Option<Command>>, command: Command) -> Result<()> {
    let text = serde_json::to_string(&command)?;
    write_private(&boot.home.join(COMMAND), text.as_bytes())?;
    // A running k3s is not restarted.
    if wanted.borrow().is_none() {
        wanted.send_replace(Some(command));
    }
    Ok(())
}

async fn run_role(
    boot: &Boot,
    prepared: Result<u16>,
    welcome: Welcome,
    own: IpAddr,
    peers: watch::Receiver<Option<Peers>>,
    wanted: watch::Sender<Option<Command>>,
) -> Result<Never> {
    let reporter = &boot.reporter;
    let mut facts = member::facts(boot, &welcome, own, prepared?)?;
    let dir = member::pki(boot);
    if facts.role == Role::Manager {
        trust_cluster_ca(&facts)?;
        let token = join_secret(boot)?;
        start(boot, &wanted, plan::server(&facts, &token))?;
        reporter.run("k3s", wait_for_server(boot, &dir)).await?;
        publish(boot, &facts).await?;
        let ready = async {
            let api = Api::new(&facts.api, &dir, "admin")?;
            let wait = member::node_ready(&api, &facts.node);
            reporter.run("node", wait).await
        };
        return member::master(boot, &facts, &dir, &peers, ready).await;
    }
    facts.api = member::api_address(&peers).await?;
    let ticket = reporter.run("join", boot.channel.ticket()).await?;
    start(boot, &wanted, plan::agent(&facts, &ticket.token))?;
    reporter.run("k3s", wait_for_agent(boot, &dir)).await?;
    let api = Api::new(&facts.api, &dir, "kubelet")?;
    let wait = member::node_ready(&api, &facts.node);
    let uid = reporter.run("node", wait).await?;
    boot.ready(&uid).await?;
    std::future::pending().await
}

/// Makes the API accept clients of the cluster's CA in addition to those of the
/// CA of k3s.
fn trust_cluster_ca(facts: &Facts) -> Result<()> {
    let path = Path::new(plan::TLS).join("client-ca.crt");
    if path.exists() {
        return Ok(());
    }
    let cluster = facts
        .plan
        .ca
        .as_deref()
        .ok_or_else(|| Error::internal("the server sent no CA with its plan"))?;
    let (own, key) = plan::client_ca()?;
    // The key is written first, because the certificate marks both as complete.
    write_private(&Path::new(plan::TLS).join("client-ca.key"), key.as_bytes())?;
    write_private(&path, plan::bundle(&own, cluster).as_bytes())
}

/// The shared secret of the cluster, generated at the first boot.
fn join_secret(boot: &Boot) -> Result<String> {
    let path = boot.home.join("k3s-token");
    if let Ok(stored) = fs::read_to_string(&path)
        && !stored.is_empty()
    {
        return Ok(stored);
    }
    let generated = ids::secret_hex(32);
    write_private(&path, generated.as_bytes())?;
    Ok(generated)
}

/// Waits until k3s has written its credentials and its join secret; stores the
/// administrator's certificate for the client of the agent.
async fn wait_for_server(boot: &Boot, dir: &Path) -> Result<()> {
    let tls = Path::new(plan::TLS);
    let files = [
        (tls.join("server-ca.crt"), "ca.crt"),
        (tls.join("client-admin.crt"), "admin.crt"),
        (tls.join("client-admin.key"), "admin.key"),
    ];
    wait_for_files(boot, dir, &files, Path::new(plan::NODE_TOKEN)).await
}

/// Waits until k3s has joined and has written the credentials of the kubelet.
async fn wait_for_agent(boot: &Boot, dir: &Path) -> Result<()> {
    let agent = Path::new(plan::AGENT);
    let files = [
        (agent.join("server-ca.crt"), "ca.crt"),
        (agent.join("client-kubelet.crt"), "kubelet.crt"),
        (agent.join("client-kubelet.key"), "kubelet.key"),
    ];
    wait_for_files(boot, dir, &files, &agent.join("client-kubelet.crt")).await
}

/// Copies files when they and `last` exist.
async fn wait_for_files(
    boot: &Boot,
    dir: &Path,
    files: &[(std::path::PathBuf, &str)],
    last: &Path,
) -> Result<()> {
    let until = Instant::now() + SERVER_TIMEOUT;
    let is_written = |path: &Path| fs::metadata(path).is_ok_and(|m| m.len() > 0);
    while !is_written(last) || !files.iter().all(|(from, _)| is_written(from)) {
        if Instant::now() >= until {
            return Err(Error::timeout(format!(
                "k3s has not written {} within {} s; its last lines:\n{}",
                last.display(),
                SERVER_TIMEOUT.as_secs(),
                boot.tail.text()
            )));
        }
        sleep(POLL_INTERVAL).await;
    }
    for (from, to) in files {
        let text =
            fs::read(from).map_err(|e| Error::internal(format!("{}: {e}", from.display())))?;
        write_private(&dir.join(to), &text)?;
    }
    Ok(())
}

/// Publishes the join secret and the CA of the API.
async fn publish(boot: &Boot, facts: &Facts) -> Result<()> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|e| Error::internal(format!("{}: {e}", path.display())))
    };
    let token = read(Path::new(plan::NODE_TOKEN))?.trim().to_owned();
    let published = Published {
        remote_addr: format!("{}:{}", facts.own, facts.plan.api_port),
        worker_token: token.clone(),
        manager_token: token,
        ca: Some(read(&Path::new(plan::TLS).join("server-ca.crt"))?),
    };
    let mut backoff = Backoff::new(50, 5_000);
    while let Err(e) = boot.channel.post::<Value>("published", &published).await {
        if !e.is_transient() {
            return Err(e);
        }
        log_line(format_args!("published: {}", plain(&e)));
        backoff.pause().await;
    }
    Ok(())
}
