//! The pod network: the firewall rules for traffic that leaves the pod range, and
//! the list of peers, from which the routes are set.

use std::process::Stdio;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{KubePlan, Peers};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::channel::Channel;

/// Delay in which changes of the peers are collected, because each of them updates
/// routes and a file.
const BATCH_DELAY: Duration = Duration::from_millis(150);

/// Enables forwarding, and masquerades traffic of pods to destinations beyond
/// the pod range. A repetition changes nothing.
///
/// # Errors
/// Internal, with the output of the program.
pub(crate) async fn rules(plan: &KubePlan) -> Result<()> {
    run("iptables", &["-w", "-P", "FORWARD", "ACCEPT"]).await?;
    let rule = [
        "POSTROUTING",
        "-s",
        &plan.node_pod_cidr,
        "!",
        "-d",
        &plan.pod_cidr,
        "-j",
        "MASQUERADE",
    ];
    let with = |verb| [&["-w", "-t", "nat", verb], &rule[..]].concat();
    if run("iptables", &with("-C")).await.is_err() {
        run("iptables", &with("-A")).await?;
    }
    Ok(())
}

/// Copies the peers that the server sends to `known`, until dropped.
pub(crate) async fn follow(channel: &Channel, known: &watch::Sender<Option<Peers>>) {
    let mut updates = channel.peers();
    loop {
        let peers = updates.borrow_and_update().clone();
        if peers.is_some() && peers != *known.borrow() {
            known.send_replace(peers);
        }
        if updates.changed().await.is_err() {
            return;
        }
        // Nodes often join at the same time, so several changes are applied at once.
        sleep(BATCH_DELAY).await;
    }
}

/// Runs a small program and returns its output.
///
/// # Errors
/// Internal, with its output.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let failed = |why: String| Error::internal(format!("{program} {}: {why}", arguments.join(" ")));
    let done = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| failed(e.to_string()))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(failed(format!("{}: {}", done.status, stderr.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
