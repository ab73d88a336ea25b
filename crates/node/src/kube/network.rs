//! The pod network: routes to the pods of other nodes, set at every start and
//! on every change of the peers, and the rules for traffic leaving the pod
//! range.

use std::process::Stdio;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::{KubePlan, Peers};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::channel::Channel;
use crate::report::{log_line, plain};

/// Identifies our routes.
const PROTOCOL: &str = "77";

/// Delay that collects changes of peers: each change updates routes and files.
const TOGETHER: Duration = Duration::from_millis(150);

/// Enables forwarding, and masquerades traffic of pods to destinations beyond
/// the pod range. Repeatable.
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

/// Follows the peers of the server into `known`, until dropped.
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
        // Nodes join together, so that several changes are applied at once.
        sleep(TOGETHER).await;
    }
}

/// Keeps the routes as in `known`, until dropped.
pub(crate) async fn keep_routes(node: &str, mut known: watch::Receiver<Option<Peers>>) {
    loop {
        let peers = known.borrow_and_update().clone();
        if let Some(peers) = peers
            && let Err(e) = set_routes(node, &peers).await
        {
            log_line(format_args!("routes: {}", plain(&e)));
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        if known.changed().await.is_err() {
            return;
        }
    }
}

async fn set_routes(node: &str, peers: &Peers) -> Result<()> {
    let there = run("ip", &["route", "show", "proto", PROTOCOL]).await?;
    for line in changes(node, peers, &there) {
        let words: Vec<&str> = line.split(' ').collect();
        run("ip", &words).await?;
    }
    Ok(())
}

/// The `ip` arguments that convert the existing routes to the desired ones.
fn changes(node: &str, peers: &Peers, there: &str) -> Vec<String> {
    let wanted: Vec<(&str, &str)> = peers
        .nodes
        .iter()
        .filter(|p| p.node != node && !p.pod_cidr.is_empty())
        .map(|p| (p.pod_cidr.as_str(), p.address.as_str()))
        .collect();
    // `10.100.1.0/24 via 172.30.0.3 dev eth0`
    let present: Vec<(&str, &str)> = there
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let to = words.next()?;
            (words.next()? == "via").then_some((to, words.next()?))
        })
        .collect();
    let stale = present
        .iter()
        .filter(|(to, _)| !wanted.iter().any(|(cidr, _)| cidr == to))
        .map(|(to, _)| format!("route del {to} proto {PROTOCOL}"));
    let fresh = wanted
        .iter()
        .filter(|route| !present.contains(route))
        .map(|(cidr, via)| format!("route replace {cidr} via {via} proto {PROTOCOL}"));
    stale.chain(fresh).collect()
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
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(failed(format!("{}: {}", done.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodewire::{Peer, Role};

    fn peer(i: u8) -> Peer {
        Peer {
            node: format!("n{i}"),
            role: Role::Worker,
            address: format!("10.0.0.{i}"),
            pod_cidr: format!("10.100.{i}.0/24"),
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let peers = Peers {
            version: "1".into(),
            api: None,
            nodes: vec![peer(1), peer(2), peer(3), peer(4)],
        };
        let there = "10.100.2.0/24 via 10.0.0.2 dev eth0 \n\
                     10.100.3.0/24 via 10.0.0.9 dev eth0 \n\
                     10.100.7.0/24 via 10.0.0.7 dev eth0 \n";
        assert_eq!(
            changes("n1", &peers, there),
            [
                "route del 10.100.7.0/24 proto 77",
                "route replace 10.100.3.0/24 via 10.0.0.3 proto 77",
                "route replace 10.100.4.0/24 via 10.0.0.4 proto 77",
            ]
        );
    }
}
