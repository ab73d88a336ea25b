//! The node list of the swarm, as seen by this manager.

use std::path::Path;
use std::time::Duration;

use kernel::Result;
use nodewire::{Observed, ObservedNode};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::channel::Channel;
use crate::engine::{Engine, text};
use crate::http::query;
use crate::report::{fit, log_line, plain};

/// Resync interval for missed events.
const RESYNC_INTERVAL: Duration = Duration::from_secs(10);

/// Lists the nodes, ordered by host name.
///
/// # Errors
/// Those of the engine; Unavailable if this node is not a manager, or the swarm has
/// no leader.
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

/// Whether the kernel supports IPVS, which virtual addresses of services and the
/// ingress network need.
fn ipvs() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

/// Reports every change to the server, until dropped. Each event triggers a new
/// listing.
pub(crate) async fn observe(engine: &Engine, channel: &Channel) {
    let changed = Notify::new();
    tokio::join!(
        follow_events(engine, &changed),
        report_changes(engine, channel, &changed)
    );
}

/// Notifies `changed` at each event of a node.
async fn follow_events(engine: &Engine, changed: &Notify) {
    let path = format!("/events?filters={}", query(r#"{"type":["node"]}"#));
    loop {
        // Ends when the engine restarts; the list may have changed meanwhile.
        let _ = engine.follow(&path, || changed.notify_one()).await;
        changed.notify_one();
        sleep(Duration::from_secs(1)).await;
    }
}

async fn report_changes(engine: &Engine, channel: &Channel, changed: &Notify) {
    let mut last_reported: Option<Observed> = None;
    let mut version = String::new();
    loop {
        if version.is_empty() {
            version = engine.info().await.map(|i| i.version).unwrap_or_default();
        }
        // A manager without a quorum has no current data, so it reports
        // nothing.
        if let Ok(nodes) = list(engine).await {
            let mut now = Observed {
                nodes,
                ipvs: ipvs(),
                version: version.clone(),
                problem: None,
                addons: Vec::new(),
            };
            fit(&mut now);
            if last_reported.as_ref() != Some(&now) {
                match channel.post::<Value>("observed", &now).await {
                    Ok(_) => last_reported = Some(now),
                    Err(e) => {
                        log_line(format_args!("observed: {}", plain(&e)));
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                }
            }
        }
        let _ = timeout(RESYNC_INTERVAL, changed.notified()).await;
    }
}
