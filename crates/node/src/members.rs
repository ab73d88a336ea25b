//! The swarm's list of nodes, as this manager sees it.

use std::path::Path;
use std::time::Duration;

use kernel::Result;
use nodewire::{Observed, ObservedNode};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::channel::Channel;
use crate::engine::{Engine, query, text};
use crate::report::{plain, say};

/// The safety net below the events.
const SLOW: Duration = Duration::from_secs(10);

/// # Errors
/// As the engine: Unavailable where this node is no manager, or the swarm
/// has no leader.
pub(crate) async fn list(engine: &Engine) -> Result<Vec<ObservedNode>> {
    let all = engine.get("/nodes").await?;
    let mut nodes: Vec<ObservedNode> = all.as_array().into_iter().flatten().map(read).collect();
    nodes.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    Ok(nodes)
}

fn read(node: &Value) -> ObservedNode {
    let status = &node["ManagerStatus"];
    ObservedNode {
        hostname: text(&node["Description"]["Hostname"]),
        id: text(&node["ID"]),
        role: text(&node["Spec"]["Role"]),
        availability: text(&node["Spec"]["Availability"]),
        state: text(&node["Status"]["State"]),
        addr: text(&node["Status"]["Addr"]),
        reachability: status["Reachability"].as_str().map(str::to_owned),
        leader: status["Leader"].as_bool().unwrap_or(false),
    }
}

/// Whether virtual addresses and ingress publishing can work here.
fn ipvs() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

/// Tells the server about every change, until dropped. Events wake it; what
/// is told is always a fresh list.
pub(crate) async fn observe(engine: &Engine, channel: &Channel) {
    let changed = Notify::new();
    tokio::join!(wake(engine, &changed), tell(engine, channel, &changed));
}

async fn wake(engine: &Engine, changed: &Notify) {
    let path = format!("/events?filters={}", query(r#"{"type":["node"]}"#));
    loop {
        // Ends when the engine restarts; the list may have changed meanwhile.
        let _ = engine.follow(&path, || changed.notify_one()).await;
        changed.notify_one();
        sleep(Duration::from_secs(1)).await;
    }
}

async fn tell(engine: &Engine, channel: &Channel, changed: &Notify) {
    let mut told: Option<Observed> = None;
    let mut version = String::new();
    loop {
        if version.is_empty() {
            version = engine.info().await.map(|i| i.version).unwrap_or_default();
        }
        // A manager without a quorum knows nothing: it tells nothing.
        if let Ok(nodes) = list(engine).await {
            let now = Observed {
                nodes,
                ipvs: ipvs(),
                version: version.clone(),
                problem: None,
                addons: Vec::new(),
            };
            if told.as_ref() != Some(&now) {
                match channel.post::<Value>("observed", &now).await {
                    Ok(_) => told = Some(now),
                    Err(e) => {
                        say(format_args!("observed: {}", plain(&e)));
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                }
            }
        }
        let _ = timeout(SLOW, changed.notified()).await;
    }
}
