//! A cluster's health: what its managers observe, and what compute knows of
//! its servers. Compute hears of a dead container at once, the cluster's own
//! members only after missed heartbeats; a dead manager tells nothing at all.

use compute::face::{Server, ServerStatus};
use db::Lease;
use kernel::{Ctx, Error, OwnerKey, Result};
use serde_json::Value;

use super::told::Told;
use super::{Cluster, table};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::coe::kubernetes::health::delegated;
use crate::node::{self, Node};

/// A verdict for the row: `health_status` and `health_status_reason`.
pub(crate) type Verdict = (&'static str, Value);

/// Whether somebody inside of the cluster sets its health.
pub(crate) fn hands_off(c: &Cluster) -> Result<bool> {
    Ok(c.engine()? == Coe::Kubernetes && delegated(&c.labels))
}

/// How often health is judged anew because a master told something meanwhile.
pub(crate) const RACES: usize = 8;
/// Said of a master that runs again, until it tells how it is.
const UNHEARD: &str = "not heard of since its server stopped";

/// Judges an observation in the light of what compute says now. A master
/// whose server does not run is taken for ill from then on, until it says
/// otherwise: its container runs again long before its API server does.
///
/// # Errors
/// As compute.
pub(crate) async fn judge(d: &ClustersDeps, c: &Cluster, told: &mut Told) -> Result<Verdict> {
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let owner = OwnerKey::new(orchestration::KIND, &c.stack_id);
    let servers = d.compute.servers.of_owner(&ctx, &owner).await?;
    let coe = c.engine()?;
    if coe == Coe::Kubernetes {
        mark(&nodes, &servers, told);
    }
    Ok(weigh(coe, &nodes, &servers, told))
}

/// A paused master goes on where it was: its agent has nothing new to say.
fn mark(nodes: &[Node], servers: &[Server], told: &mut Told) {
    let masters = nodes.iter().filter(|n| n.is_master && n.status.wanted());
    for n in masters {
        let ended = |s: &&Server| {
            s.name == n.name && matches!(s.status, ServerStatus::Shutoff | ServerStatus::Error)
        };
        if servers.iter().any(|s| ended(&s)) {
            let problem = told.problems.entry(n.name.clone());
            problem.or_insert_with(|| UNHEARD.to_owned());
        }
    }
}

/// The nodes whose servers do not run, and why.
fn lost<'a>(nodes: &'a [Node], servers: &[Server]) -> Vec<(&'a Node, String)> {
    nodes
        .iter()
        .filter(|n| n.status.wanted())
        .filter_map(|n| {
            let server = servers.iter().find(|s| s.name == n.name)?;
            Some((n, trouble(server)?))
        })
        .collect()
}

/// Pure: members whose server does not run are not ready, whatever the
/// cluster still believes. A balancer is no member, but without it nobody
/// reaches the API where `api_address` says it is.
fn weigh(coe: Coe, nodes: &[Node], servers: &[Server], told: &Told) -> Verdict {
    let wanted = || nodes.iter().filter(|n| n.status.wanted());
    let lost = lost(nodes, servers);
    let is_lost = |name: &str| lost.iter().any(|(n, _)| n.name == name);
    let mut seen = told.seen.clone();
    for member in &mut seen.nodes {
        if is_lost(&member.hostname) {
            member.state = "down".into();
        }
    }
    let masters: Vec<&Node> = wanted().filter(|n| n.is_master).collect();
    let living = masters.iter().filter(|n| !is_lost(&n.name)).count();
    let silent = !masters.is_empty() && living == 0;
    // The words of the dead say nothing about now.
    let ill: Vec<(&String, &String)> = told
        .problems
        .iter()
        .filter(|(name, _)| masters.iter().any(|n| n.name == **name) && !is_lost(name))
        .collect();
    if ill.len() >= living {
        seen.problem = match ill.as_slice() {
            [] => None,
            [(_, only)] => Some((*only).clone()),
            all => {
                let each: Vec<String> = all.iter().map(|(n, why)| format!("{n}: {why}")).collect();
                Some(each.join("; "))
            }
        };
    }
    let names: Vec<String> = wanted()
        .filter(|n| !n.is_balancer)
        .map(|n| n.name.clone())
        .collect();
    let (mut status, mut reason) = coe.judge(&names, &seen);
    if let Some(map) = reason.as_object_mut() {
        if seen.problem.is_none() {
            for (name, why) in ill {
                map.insert(format!("{name}.api"), why.as_str().into());
                status = "UNHEALTHY";
            }
        }
        if silent {
            map.insert("api".into(), "unreachable: no master runs".into());
            status = "UNHEALTHY";
        }
        for (n, why) in lost {
            if n.is_balancer {
                map.insert(
                    "api".into(),
                    "unreachable: the balancer does not run".into(),
                );
                status = "UNHEALTHY";
            } else {
                map.insert(format!("{}.Ready", n.name), "False".into());
            }
            map.insert(format!("{}.Server", n.name), why.into());
        }
    }
    (status, reason)
}

/// What is wrong with a server; `None`: it runs, or is being built.
fn trouble(server: &Server) -> Option<String> {
    let fault = server.fault.as_ref().map(|f| f.message.clone());
    Some(match server.status {
        ServerStatus::Active | ServerStatus::Build => return None,
        ServerStatus::Shutoff => "SHUTOFF: its container has stopped; start it again".into(),
        ServerStatus::Paused => "PAUSED: its container is paused".into(),
        ServerStatus::Deleting => "DELETING".into(),
        ServerStatus::Error => format!("ERROR: {}", fault.unwrap_or_default()),
    })
}

/// A cluster at rest whose servers may have changed by themselves.
///
/// # Errors
/// As the database and compute; unavailable: the masters tell without a pause.
pub(crate) async fn follow(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<()> {
    if hands_off(c)? {
        return Ok(());
    }
    for _ in 0..RACES {
        if look(d, lease, c).await? {
            return Ok(());
        }
    }
    Err(Error::unavailable(
        "Too many concurrent status reports; retry.",
    ))
}

/// `false` where a master has told something meanwhile.
async fn look(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<bool> {
    let stored = node::table::swarm(&d.db, &c.uuid).await?.observed;
    // Nothing was observed yet: there is nothing to correct.
    let Some(mut told) = Told::read(&stored) else {
        return Ok(true);
    };
    let (status, reason) = judge(d, c, &mut told).await?;
    let text = serde_json::to_string(&told)?;
    if text == stored
        && c.health_status.as_deref() == Some(status)
        && c.health_status_reason == reason
    {
        return Ok(true);
    }
    db::fenced!(d.db, lease, |tx| {
        if node::table::observed_tx(tx, &c.uuid).await? != stored {
            return Ok(false);
        }
        node::table::set_observed(tx, &c.uuid, &text).await?;
        table::conclude_health(tx, &c.uuid, status, &reason).await?;
        Ok(true)
    })
}

#[cfg(test)]
mod tests {

    use nodewire::{Observed, ObservedNode};
    use serde_json::json;

    use super::*;
    use crate::node::NodeStatus;

    fn node(name: &str, is_master: bool) -> Node {
        Node {
            name: name.into(),
            is_master,
            status: NodeStatus::Ready,
            ..Node::default()
        }
    }

    fn server(name: &str, status: ServerStatus) -> Server {
        Server {
            status,
            ..crate::tests::world::server(name)
        }
    }

    fn told(names: &[&str]) -> Told {
        let member = |name: &str| ObservedNode {
            hostname: name.into(),
            id: name.into(),
            role: String::new(),
            availability: "active".into(),
            state: "ready".into(),
            addr: String::new(),
            reachability: None,
            leader: false,
        };
        let seen = Observed {
            nodes: names.iter().copied().map(member).collect(),
            ipvs: true,
            version: String::new(),
            problem: None,
            addons: Vec::new(),
        };
        Told::after(None, "m-0", &seen)
    }

    #[test]
    fn a_dead_server_is_told_before_the_cluster_notices() {
        let nodes = [node("m-0", true), node("w-0", false)];
        let mut servers = [
            server("m-0", ServerStatus::Active),
            server("w-0", ServerStatus::Active),
        ];
        let told = told(&["m-0", "w-0"]);
        let verdict = |servers: &[Server]| weigh(Coe::Swarm, &nodes, servers, &told);
        assert_eq!(verdict(&servers).0, "HEALTHY");
        servers[1].status = ServerStatus::Shutoff;
        let (status, reason) = verdict(&servers);
        assert_eq!(status, "UNHEALTHY");
        assert_eq!(
            (&reason["api"], &reason["m-0.Ready"], &reason["w-0.Ready"]),
            (&json!("ok"), &json!("True"), &json!("False"))
        );
        assert!(reason["w-0.Server"].as_str().unwrap().contains("SHUTOFF"));
        servers[0].status = ServerStatus::Error;
        assert!(
            verdict(&servers).1["api"]
                .as_str()
                .unwrap()
                .contains("no master")
        );
    }

    #[test]
    fn one_master_of_three_or_the_balancer_may_fail_alone() {
        let masters = ["m-0", "m-1", "m-2"];
        let mut nodes: Vec<Node> = masters.iter().map(|n| node(n, true)).collect();
        nodes.push(Node {
            is_balancer: true,
            ..node("lb", false)
        });
        let mut servers: Vec<Server> = nodes
            .iter()
            .map(|n| server(&n.name, ServerStatus::Active))
            .collect();
        let mut told = told(&masters);
        let verdict =
            |servers: &[Server], told: &Told| weigh(Coe::Kubernetes, &nodes, servers, told);
        let (status, reason) = verdict(&servers, &told);
        assert_eq!(status, "HEALTHY");
        assert_eq!(reason.as_object().unwrap().len(), 4, "{reason}");

        servers[1].status = ServerStatus::Shutoff;
        let (status, reason) = verdict(&servers, &told);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-1.Ready"], "False");
        // What it said before it died is not told any more.
        told.problems.insert("m-1".into(), "etcd".into());
        assert_eq!(verdict(&servers, &told).1, reason);
        servers[1].status = ServerStatus::Active;
        let (status, reason) = verdict(&servers, &told);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-1.api"], "etcd");
        for name in ["m-0", "m-2"] {
            told.problems.insert(name.into(), "etcd".into());
        }
        let all = "m-0: etcd; m-1: etcd; m-2: etcd";
        assert_eq!(verdict(&servers, &told).1, json!({ "api": all }));

        // It runs again long before it serves.
        told.problems.clear();
        servers[0].status = ServerStatus::Paused;
        servers[2].status = ServerStatus::Shutoff;
        mark(&nodes, &servers, &mut told);
        servers[0].status = ServerStatus::Active;
        servers[2].status = ServerStatus::Active;
        let (status, reason) = verdict(&servers, &told);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-2.api"], UNHEARD);
        assert_eq!(reason.get("m-0.api"), None);

        told.problems.clear();
        servers[3].status = ServerStatus::Shutoff;
        let (status, reason) = verdict(&servers, &told);
        assert_eq!(status, "UNHEALTHY");
        assert_eq!(reason["api"], "unreachable: the balancer does not run");
        assert!(reason["lb.Server"].as_str().unwrap().contains("SHUTOFF"));
        assert_eq!(reason.get("lb.Ready"), None);
    }
}
