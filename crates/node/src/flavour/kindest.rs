//! Boots the agent in a node of `kindest/node`: systemd runs containerd and the
//! kubelet, and the agent runs kubeadm.
//!
//! ```text
//! containerd ── hello ── certificates ─┬─ (masters) kubeadm init, network ─┬─ node ── ready
//!                                      └─ (workers) api ── kubeadm join ───┘
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{Peers, Role, StepStatus, Welcome};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::actions::{Action, ActionRunner};
use super::kubeadm::{self, Material};
use super::member;
use crate::boot::{Boot, Never};
use crate::kube::api::Api;
use crate::kube::certificates;
use crate::report::plain;
use crate::retry::Backoff;
use crate::seed::write_private;

const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(90);
/// Attempts of a joining node, which may start before kubeadm has stored the
/// configuration in the cluster.
const JOIN_ATTEMPTS: u32 = 10;

/// Runs the node until `stop` resolves; services of systemd continue.
///
/// # Errors
/// The server refused a node that was never ready.
pub(crate) async fn run_node(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    member::run_node(boot, delivery, stop, |welcome, own, peers| {
        run_role(boot, welcome, own, peers)
    })
    .await
}

async fn run_role(
    boot: &Boot,
    welcome: Welcome,
    own: IpAddr,
    peers: watch::Receiver<Option<Peers>>,
) -> Result<Never> {
    let reporter = &boot.reporter;
    reporter.run("containerd", containerd()).await?;
    let version = std::fs::read_to_string(kubeadm::VERSION)
        .map_err(|e| Error::invalid("image", format!("{}: {e}", kubeadm::VERSION)))?;
    let mut facts = member::facts(boot, &welcome, own, kubeadm::minor(&version)?)?;
    let dir = member::pki(boot);
    if !certificates::complete(&dir, facts.role) {
        let node = &boot.seed.node;
        let obtain = certificates::obtain(&boot.channel, reporter, &dir, node, facts.role);
        reporter.run("certificates", obtain).await?;
    }
    if let Some(key) = &facts.plan.service_account_key {
        certificates::token_keys(&dir, key)?;
    }
    let material = read_material(&dir)?;
    if facts.role == Role::Manager {
        let actions = kubeadm::master(&facts, &version, &material)?;
        reporter.run("kubeadm", run_once(boot, &actions, 1)).await?;
        let ready = async {
            let api = Api::new(&facts.api, &dir, "admin")?;
            let wait = member::node_ready(&api, &facts.node);
            reporter.run("node", wait).await
        };
        return member::master(boot, &facts, &dir, &peers, ready).await;
    }
    facts.api = member::api_address(&peers).await?;
    let api = Api::new(&facts.api, &dir, "kubelet")?;
    reporter
        .run("api", member::answers(&api, &facts.api))
        .await?;
    let actions = kubeadm::worker(&facts, &version, &material)?;
    reporter
        .run("kubeadm", run_once(boot, &actions, JOIN_ATTEMPTS))
        .await?;
    let wait = member::node_ready(&api, &facts.node);
    let uid = reporter.run("node", wait).await?;
    boot.ready(&uid).await?;
    std::future::pending().await
}

async fn containerd() -> Result<()> {
    let until = Instant::now() + CONTAINERD_TIMEOUT;
    while tokio::net::UnixStream::connect(kubeadm::SOCKET)
        .await
        .is_err()
    {
        if Instant::now() >= until {
            return Err(Error::timeout(format!(
                "containerd did not answer within {} s; `systemctl status containerd` in the \
                 node says why",
                CONTAINERD_TIMEOUT.as_secs()
            )));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Reads all files in a directory, by file name.
fn read_material(dir: &Path) -> Result<Material> {
    let failed = |e: std::io::Error| Error::internal(format!("{}: {e}", dir.display()));
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            found.insert(name.into_owned(), text);
        }
    }
    Ok(found)
}

/// Executes `actions` unless an earlier boot has done so; remains of a failed
/// attempt are removed before the next one.
async fn run_once(boot: &Boot, actions: &[Action], attempts: u32) -> Result<()> {
    let action_runner = ActionRunner::node();
    let (begun, done) = (
        boot.home.join("kubeadm-begun"),
        boot.home.join("kubeadm-done"),
    );
    if done.exists() {
        // systemd has restarted all services by itself.
        return Ok(());
    }
    let mut backoff = Backoff::new(500, 5_000);
    for attempt in 1.. {
        if begun.exists() {
            action_runner.all(&kubeadm::reset()).await?;
        }
        write_private(&begun, b"")?;
        match action_runner.all(actions).await {
            Ok(()) => break,
            Err(e) if attempt < attempts => {
                boot.reporter
                    .step("kubeadm", StepStatus::Retrying, plain(&e));
                backoff.pause().await;
            }
            Err(e) => return Err(e),
        }
    }
    write_private(&done, b"")
}
