//! The firewall of isolated networks, by iptables of this machine, because the
//! engine has no API for it. Every change is one transaction, and is computed from
//! the rules that exist, so that a repetition changes nothing.

mod policy;
mod rules;
mod untracked;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;

use infra::{BridgeView, LABEL_INSTALLATION};
use kernel::{Error, Kind, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

pub use policy::{HostService, Isolation};
use rules::{Family, Isolated, Policy, Rules};

/// The tables with rules of networks.
const FILTER: &str = "filter";
const RAW: &str = "raw";
/// Attempts of a change. It fails if another server changes the same chains between
/// its two steps.
const ATTEMPTS: usize = 4;

/// Seconds that iptables waits for other programs that change rules.
const LOCK_TIMEOUT: &str = "30";

/// The rules of networks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Firewall {
    /// `None`: networks are not isolated.
    isolation: Option<Arc<Isolation>>,
    /// Permits one change at a time, because each is computed from the rules that it
    /// has read.
    changes: Arc<Semaphore>,
}

/// What prevents this server from isolating the networks of the engine at `url`, and
/// what to do about it.
pub async fn missing_for_isolation(url: &str) -> Option<String> {
    if !url.starts_with("unix://") {
        return Some(format!(
            "the engine at {url} may be on another host; connect this server to an engine of \
             the same host, by a unix:// address"
        ));
    }
    read(Family::V4, FILTER).await.err().map(|why| {
        format!("{why}; install iptables (`apt-get install iptables`) and run this server as root")
    })
}

impl Firewall {
    pub(crate) fn new(isolation: Option<Isolation>) -> Self {
        Self {
            isolation: isolation.map(Arc::new),
            changes: Arc::new(Semaphore::new(1)),
        }
    }

    /// Gives networks the rules that they lack. Without isolation, removes the rules
    /// that an earlier configuration has given to them.
    pub(crate) async fn restore(&self, networks: &[BridgeView]) -> Result<()> {
        let networks: Vec<Isolated> = networks.iter().filter_map(isolated).collect();
        let Some(isolation) = &self.isolation else {
            let devices = networks.into_iter().map(|n| n.device).collect();
            return self.remove(&devices).await;
        };
        let policy = Policy {
            isolation,
            name_servers: policy::host_name_servers(),
            uplinks: policy::uplinks(),
        };
        self.change(FILTER, |rules, family| {
            rules.restoring(family, &policy, &networks)
        })
        .await?;
        self.change(RAW, |rules, family| {
            untracked::restoring(rules, family, &networks)
        })
        .await
    }

    /// Removes the rules of devices. Without isolation nothing fails, because the
    /// server may not be permitted to read rules.
    pub(crate) async fn remove(&self, devices: &BTreeSet<String>) -> Result<()> {
        let removed = self
            .change(FILTER, |rules, _| rules.removing(devices))
            .await;
        let tracked = self
            .change(RAW, |rules, _| untracked::removing(rules, devices))
            .await;
        if self.isolation.is_none() {
            return Ok(());
        }
        removed.and(tracked)
    }

    /// Removes the rules of devices that do not exist any more, of which a crash or a
    /// removal by hand leaves some.
    pub(crate) async fn remove_orphans(&self) -> Result<()> {
        if self.isolation.is_none() {
            return Ok(());
        }
        let orphans: BTreeSet<String> = orphans().await?.into_keys().collect();
        if orphans.is_empty() {
            return Ok(());
        }
        self.remove(&orphans).await
    }

    /// The networks without a device that have rules.
    pub(crate) async fn orphans(&self) -> Result<Vec<BridgeView>> {
        if self.isolation.is_none() {
            return Ok(Vec::new());
        }
        let orphans = orphans().await?.into_iter();
        let view = |(device, owner): (String, Option<(String, String)>)| {
            let (installation, name) = owner?;
            Some(BridgeView {
                name,
                id: String::new(),
                labels: BTreeMap::from([(LABEL_INSTALLATION.to_owned(), installation)]),
                cidr: None,
                gateway: None,
                device: Some(device),
            })
        };
        Ok(orphans.filter_map(view).collect())
    }

    /// Applies the script that is computed from the existing rules of a table.
    async fn change(
        &self,
        table: &str,
        script: impl Fn(&Rules, Family) -> Option<String>,
    ) -> Result<()> {
        let _permit = self.changes.acquire().await.map_err(Error::internal)?;
        for family in [Family::V4, Family::V6] {
            for attempt in 1.. {
                let rules = match read(family, table).await {
                    Ok(rules) => rules,
                    // A host without ip6tables usually has no IPv6 either.
                    Err(_) if family == Family::V6 => break,
                    Err(why) => return Err(failed(&why)),
                };
                let Some(script) = script(&rules, family) else {
                    break;
                };
                match apply(family, &script).await {
                    Ok(()) => break,
                    Err(_) if attempt < ATTEMPTS => {}
                    Err(why) => return Err(failed(&why)),
                }
            }
        }
        Ok(())
    }
}

fn isolated(network: &BridgeView) -> Option<Isolated> {
    let installation = network.labels.get(LABEL_INSTALLATION);
    Some(Isolated {
        device: network.device.clone()?,
        gateway: network.gateway,
        cidr: network.cidr,
        owner: installation.map(|i| (i.clone(), network.name.clone())),
    })
}

/// Devices with rules that do not exist, with the owners of their networks.
async fn orphans() -> Result<BTreeMap<String, Option<(String, String)>>> {
    let mut found = BTreeMap::new();
    for family in [Family::V4, Family::V6] {
        if let Ok(rules) = read(family, FILTER).await {
            found.extend(rules.devices());
        }
        if let Ok(rules) = read(family, RAW).await {
            for device in untracked::devices(&rules) {
                found.entry(device).or_insert(None);
            }
        }
    }
    if !found.is_empty() {
        let text = tokio::fs::read_to_string("/proc/self/net/dev").await;
        let text = text.map_err(|e| Error::internal(format!("/proc/self/net/dev: {e}")))?;
        let devices = present(&text);
        found.retain(|device, _| !devices.contains(device.as_str()));
    }
    Ok(found)
}

/// Devices in the format of `/proc/net/dev`.
fn present(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect()
}

/// The existing rules; an error is the output of the program.
async fn read(family: Family, table: &str) -> Result<Rules, String> {
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let done = Command::new(program)
        .args(["-w", LOCK_TIMEOUT, "-t", table, "-S"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| format!("{program}: {e}"))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{program} -S: {}", stderr.trim()));
    }
    Ok(Rules::parse(&String::from_utf8_lossy(&done.stdout)))
}

async fn apply(family: Family, script: &str) -> Result<(), String> {
    let program = match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    };
    let failed = |why: String| format!("{program}: {why}");
    let mut child = Command::new(program)
        .args(["-w", LOCK_TIMEOUT, "--noflush"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // If the program has ended already, its output says why.
        let _ = input.write_all(script.as_bytes()).await;
    }
    let done = child.wait_with_output().await;
    let done = done.map_err(|e| failed(e.to_string()))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(failed(stderr.trim().to_owned()));
    }
    Ok(())
}

fn failed(why: &str) -> Error {
    Error::new(
        Kind::Internal,
        format!(
            "the networks of clusters could not be isolated: {why}; install iptables and run as \
             root, or set `isolate = false` in [infra]"
        ),
    )
}

#[cfg(test)]
mod real_tests;
