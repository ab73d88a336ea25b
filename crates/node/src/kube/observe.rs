//! Observations of this master. Watches of the nodes and add-ons trigger a new
//! listing, which is reported. The same loop sets metadata of nodes that their
//! kubelets may not set.

use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::Result;
use nodewire::{Observed, ObservedNode, Peers, Role};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::addons::{self, AddonInstaller};
use super::api::Api;
use super::drain;
use super::plan::{Facts, is_restricted};
use crate::channel::Channel;
use crate::engine::text;
use crate::http::query;
use crate::report::{fit, log_line, plain};

/// Interval of API health checks.
const TICK: Duration = Duration::from_secs(2);
/// Number of health checks without an event after which everything is listed
/// again.
const CHECKS_PER_LISTING: u32 = 5;
/// Interval of repeating an unchanged report, because the server may have lost
/// it or consider it stale.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const WORKER: &str = "node-role.kubernetes.io/worker";

/// Reports every change to the server, until dropped.
pub(crate) async fn observe(
    api: &Api,
    channel: &Channel,
    facts: &Facts,
    peers: &watch::Receiver<Option<Peers>>,
    installer: &AddonInstaller,
) {
    let changed = Notify::new();
    let peer_changes = async {
        let mut peers = peers.clone();
        while peers.changed().await.is_ok() {
            changed.notify_one();
        }
        std::future::pending::<()>().await;
    };
    let (deployments, daemons) = (our_workloads("deployments"), our_workloads("daemonsets"));
    tokio::join!(
        watch_changes(api, "/api/v1/nodes?", &changed),
        watch_changes(api, &deployments, &changed),
        watch_changes(api, &daemons, &changed),
        peer_changes,
        report_changes(api, channel, facts, peers, installer, &changed).boxed_local()
    );
}

/// The path that lists our workloads of one kind.
fn our_workloads(plural: &str) -> String {
    format!("/apis/apps/v1/{plural}?{}&", addons::SELECTOR)
}

/// Notifies `changed` at each event of a watch, and when the watch ends.
async fn watch_changes(api: &Api, list: &str, changed: &Notify) {
    let path = format!("{list}watch=true&timeoutSeconds=300");
    loop {
        let _ = api
            .watch(&path, |_, _| {
                changed.notify_one();
                None::<()>
            })
            .await;
        changed.notify_one();
        sleep(Duration::from_secs(1)).await;
    }
}

async fn report_changes(
    api: &Api,
    channel: &Channel,
    facts: &Facts,
    peers: &watch::Receiver<Option<Peers>>,
    installer: &AddonInstaller,
    changed: &Notify,
) {
    let mut last_reported: Option<(Observed, Instant)> = None;
    let mut last = Observed {
        nodes: Vec::new(),
        ipvs: std::path::Path::new("/proc/net/ip_vs").exists(),
        version: String::new(),
        problem: None,
        addons: Vec::new(),
    };
    let mut quiet = 0;
    loop {
        let known = peers.borrow().clone();
        let checked = async {
            if quiet % CHECKS_PER_LISTING == 0 {
                list(api, facts, known.as_ref(), installer, &mut last).await?;
            }
            health(api).await
        };
        last.problem = match checked.await {
            Ok(problem) => problem,
            Err(e) => {
                quiet = 0;
                Some(format!("the API server does not answer: {}", plain(&e)))
            }
        };
        fit(&mut last);
        let is_due = |(reported, at): &(Observed, Instant)| {
            *reported != last || at.elapsed() > REPEAT_INTERVAL
        };
        if last_reported.as_ref().is_none_or(is_due) {
            match channel.post::<Value>("observed", &last).await {
                Ok(_) => last_reported = Some((last.clone(), Instant::now())),
                Err(e) => {
                    log_line(format_args!("observed: {}", plain(&e)));
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
        }
        let woken = timeout(TICK, changed.notified()).await.is_ok();
        // Add-ons in transition are checked until they are done.
        let settled = last.problem.is_none() && last.addons.iter().all(|a| a.state != "pending");
        quiet = if woken || !settled { 0 } else { quiet + 1 };
    }
}

/// Lists nodes and add-ons into `seen`, and sets missing metadata of nodes.
async fn list(
    api: &Api,
    facts: &Facts,
    peers: Option<&Peers>,
    installer: &AddonInstaller,
    seen: &mut Observed,
) -> Result<()> {
    let list = api.get("/api/v1/nodes").await?;
    let nodes = list["items"].as_array().map_or(&[][..], |all| all);
    for (name, change) in nodes
        .iter()
        .filter_map(|n| missing_node_metadata(n, facts, peers))
    {
        let path = format!("/api/v1/nodes/{}", query(&name));
        if let Err(e) = api.merge(&path, &change).await {
            log_line(format_args!("node {name}: {}", plain(&e)));
        }
    }
    seen.nodes = nodes.iter().map(|n| read(n, peers)).collect();
    seen.nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    if seen.version.is_empty() {
        seen.version = text(&api.get("/version").await?["gitVersion"]);
    }
    seen.addons = installer.states(api, &facts.plan).await?;
    Ok(())
}

/// The problems that the API reports about itself.
async fn health(api: &Api) -> Result<Option<String>> {
    let health = api.look("/readyz?verbose").await?;
    Ok((health.status != 200).then(|| failed_checks(&health.text())))
}

/// The failed checks of a verbose answer.
pub(crate) fn failed_checks(text: &str) -> String {
    let failing: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .map(str::trim)
        .collect();
    if failing.is_empty() {
        text.trim().to_owned()
    } else {
        failing.join("; ")
    }
}

fn read(node: &Value, peers: Option<&Peers>) -> ObservedNode {
    let meta = &node["metadata"];
    let name = text(&meta["name"]);
    let addr = node["status"]["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|a| a["type"] == "InternalIP")
        .map(|a| text(&a["address"]))
        .unwrap_or_default();
    let master = role_of(&name, peers).map_or_else(
        || meta["labels"].get(CONTROL_PLANE).is_some(),
        |role| role == Role::Manager,
    );
    let ready = drain::is_ready(node);
    let word =
        |yes: bool, then: &str, otherwise: &str| (if yes { then } else { otherwise }).to_owned();
    ObservedNode {
        id: text(&meta["uid"]),
        role: word(master, "manager", "worker"),
        availability: word(node["spec"]["unschedulable"] == true, "drain", "active"),
        state: word(ready, "ready", "down"),
        addr,
        reachability: master.then(|| word(ready, "reachable", "unreachable")),
        leader: false,
        hostname: name,
    }
}

fn role_of(name: &str, peers: Option<&Peers>) -> Option<Role> {
    let peer = peers?.nodes.iter().find(|p| p.node == name)?;
    Some(peer.role)
}

/// The metadata that a node still lacks: the label of its role, its pod range,
/// which can be set only once, and, if it is the node of this agent, the labels
/// of the plan that its kubelet may not set.
fn missing_node_metadata(
    node: &Value,
    facts: &Facts,
    peers: Option<&Peers>,
) -> Option<(String, Value)> {
    let name = text(&node["metadata"]["name"]);
    let peer = peers?.nodes.iter().find(|p| p.node == name)?;
    let existing = &node["metadata"]["labels"];
    let mut labels = Map::new();
    let mut want = |key: &str, value: &str| {
        if existing.get(key).and_then(Value::as_str) != Some(value) {
            labels.insert(key.to_owned(), json!(value));
        }
    };
    want(
        match peer.role {
            Role::Manager => CONTROL_PLANE,
            Role::Worker => WORKER,
            Role::Balancer => return None,
        },
        "",
    );
    if name == facts.node {
        for (key, value) in &facts.plan.node_labels {
            if is_restricted(key) {
                want(key, value);
            }
        }
    }
    let mut change = json!({});
    if !labels.is_empty() {
        change["metadata"] = json!({ "labels": labels });
    }
    if !node["spec"]["podCIDR"].is_string() && !peer.pod_cidr.is_empty() {
        change["spec"] = json!({ "podCIDR": peer.pod_cidr, "podCIDRs": [peer.pod_cidr] });
    }
    (change != json!({})).then_some((name, change))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kube::plan::tests::facts;
    use nodewire::Peer;

    /// A cluster with one worker.
    pub(crate) fn peers() -> Peers {
        Peers {
            version: "1".into(),
            api: None,
            nodes: vec![Peer {
                node: "k-node-0".into(),
                role: Role::Worker,
                address: "10.0.0.6".into(),
                pod_cidr: "10.100.1.0/24".into(),
            }],
        }
    }

    fn node() -> Value {
        json!({
            "metadata": { "name": "k-node-0", "uid": "u", "labels": {} },
            "spec": { "unschedulable": true },
            "status": {
                "addresses": [{ "type": "Hostname", "address": "k-node-0" },
                              { "type": "InternalIP", "address": "10.0.0.6" }],
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        })
    }

    #[test]
    fn a_node_is_read_and_given_what_it_lacks_once() {
        let (facts, peers) = (facts(Role::Manager, 36), peers());
        let seen = read(&node(), Some(&peers));
        assert_eq!(
            (
                seen.role.as_str(),
                seen.availability.as_str(),
                seen.state.as_str()
            ),
            ("worker", "drain", "ready")
        );
        assert_eq!((seen.addr.as_str(), seen.reachability), ("10.0.0.6", None));
        let (name, change) = missing_node_metadata(&node(), &facts, Some(&peers)).unwrap();
        assert_eq!(name, "k-node-0");
        assert_eq!(change["metadata"]["labels"][WORKER], "");
        assert_eq!(change["spec"]["podCIDRs"][0], "10.100.1.0/24");
        let mut done = node();
        done["metadata"]["labels"] = change["metadata"]["labels"].clone();
        done["spec"] = change["spec"].clone();
        assert_eq!(missing_node_metadata(&done, &facts, Some(&peers)), None);
        assert_eq!(missing_node_metadata(&node(), &facts, None), None);
    }

    #[test]
    fn failing_checks_are_named() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed";
        assert_eq!(failed_checks(text), "etcd failed: reason withheld");
        assert_eq!(failed_checks("no\n"), "no");
    }
}
