//! The cluster as this master sees it: a watch of the Node objects wakes,
//! what is told is always a fresh list. The same look gives the nodes what
//! their kubelets may not give themselves.

use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::Result;
use nodewire::{Observed, ObservedNode, Peers, Role};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::addons::{self, Desk};
use super::api::Api;
use super::drain;
use super::plan::{Facts, is_restricted};
use crate::channel::Channel;
use crate::engine::{query, text};
use crate::report::{plain, say};

/// Between looks at the API's health.
const TICK: Duration = Duration::from_secs(2);
/// After so many looks without a word from the watch everything is read:
/// the safety net below it.
const QUIET: u32 = 5;
/// What is old news to this master may have been forgotten, or taken for old
/// by the server: it is said again so often.
const AGAIN: Duration = Duration::from_secs(60);
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const WORKER: &str = "node-role.kubernetes.io/worker";

/// Tells the server about every change, until dropped.
pub(crate) async fn observe(
    api: &Api,
    channel: &Channel,
    facts: &Facts,
    peers: &watch::Receiver<Option<Peers>>,
    desk: &Desk,
) {
    let changed = Notify::new();
    let news = async {
        let mut peers = peers.clone();
        while peers.changed().await.is_ok() {
            changed.notify_one();
        }
        std::future::pending::<()>().await;
    };
    let (deployments, daemons) = (ours("deployments"), ours("daemonsets"));
    tokio::join!(
        wake(api, "/api/v1/nodes?", &changed),
        wake(api, &deployments, &changed),
        wake(api, &daemons, &changed),
        news,
        tell(api, channel, facts, peers, desk, &changed).boxed_local()
    );
}

/// A list of the workloads that add-ons are made of.
fn ours(plural: &str) -> String {
    format!("/apis/apps/v1/{plural}?{}&", addons::SELECTOR)
}

async fn wake(api: &Api, list: &str, changed: &Notify) {
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

async fn tell(
    api: &Api,
    channel: &Channel,
    facts: &Facts,
    peers: &watch::Receiver<Option<Peers>>,
    desk: &Desk,
    changed: &Notify,
) {
    let mut told: Option<(Observed, Instant)> = None;
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
        let looked = async {
            if quiet % QUIET == 0 {
                look(api, facts, known.as_ref(), desk, &mut last).await?;
            }
            health(api).await
        };
        last.problem = match looked.await {
            Ok(problem) => problem,
            Err(e) => {
                quiet = 0;
                Some(format!("the API server does not answer: {}", plain(&e)))
            }
        };
        let news = |(said, at): &(Observed, Instant)| *said != last || at.elapsed() > AGAIN;
        if told.as_ref().is_none_or(news) {
            match channel.post::<Value>("observed", &last).await {
                Ok(_) => told = Some((last.clone(), Instant::now())),
                Err(e) => {
                    say(format_args!("observed: {}", plain(&e)));
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
        }
        let woken = timeout(TICK, changed.notified()).await.is_ok();
        // What is on its way is looked at until it is there.
        let settled = last.problem.is_none() && last.addons.iter().all(|a| a.state != "pending");
        quiet = if woken || !settled { 0 } else { quiet + 1 };
    }
}

/// Brings `seen` up to date.
async fn look(
    api: &Api,
    facts: &Facts,
    peers: Option<&Peers>,
    desk: &Desk,
    seen: &mut Observed,
) -> Result<()> {
    let list = api.get("/api/v1/nodes").await?;
    let nodes = list["items"].as_array().map_or(&[][..], |all| all);
    for (name, change) in nodes.iter().filter_map(|n| wanting(n, facts, peers)) {
        let path = format!("/api/v1/nodes/{}", query(&name));
        if let Err(e) = api.merge(&path, &change).await {
            say(format_args!("node {name}: {}", plain(&e)));
        }
    }
    seen.nodes = nodes.iter().map(|n| read(n, peers)).collect();
    seen.nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    if seen.version.is_empty() {
        seen.version = text(&api.get("/version").await?["gitVersion"]);
    }
    seen.addons = desk.states(api, &facts.plan).await?;
    Ok(())
}

/// What the API says is wrong with itself.
async fn health(api: &Api) -> Result<Option<String>> {
    let health = api.look("/readyz?verbose").await?;
    Ok((health.status != 200).then(|| unwell(&health.text)))
}

/// The checks that fail, of a verbose answer.
pub(crate) fn unwell(text: &str) -> String {
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

/// The change that a node still needs: its role's label, on this node the
/// labels of the plan that its kubelet may not set, and its pods' range,
/// which can be set once.
fn wanting(node: &Value, facts: &Facts, peers: Option<&Peers>) -> Option<(String, Value)> {
    let name = text(&node["metadata"]["name"]);
    let peer = peers?.nodes.iter().find(|p| p.node == name)?;
    let there = &node["metadata"]["labels"];
    let mut labels = Map::new();
    let mut want = |key: &str, value: &str| {
        if there.get(key).and_then(Value::as_str) != Some(value) {
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

    /// One worker.
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
        let (name, change) = wanting(&node(), &facts, Some(&peers)).unwrap();
        assert_eq!(name, "k-node-0");
        assert_eq!(change["metadata"]["labels"][WORKER], "");
        assert_eq!(change["spec"]["podCIDRs"][0], "10.100.1.0/24");
        let mut done = node();
        done["metadata"]["labels"] = change["metadata"]["labels"].clone();
        done["spec"] = change["spec"].clone();
        assert_eq!(wanting(&done, &facts, Some(&peers)), None);
        assert_eq!(wanting(&node(), &facts, None), None);
    }

    #[test]
    fn failing_checks_are_named() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed";
        assert_eq!(unwell(text), "etcd failed: reason withheld");
        assert_eq!(unwell("no\n"), "no");
    }
}
