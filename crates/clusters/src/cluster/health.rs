//! A cluster's health: what its managers observe, and what compute knows of
//! its servers. Compute hears of a dead container at once, the cluster's own
//! members only after missed heartbeats; a dead manager tells nothing at all.

use compute::face::{Server, ServerStatus};
use kernel::{Ctx, OwnerKey, Result};
use nodewire::Observed;
use serde_json::Value;

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

/// Judges an observation in the light of what compute says now.
///
/// # Errors
/// As compute.
pub(crate) async fn judge(d: &ClustersDeps, c: &Cluster, seen: &Observed) -> Result<Verdict> {
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let owner = OwnerKey::new(orchestration::KIND, &c.stack_id);
    let servers = d.compute.servers.of_owner(&ctx, &owner).await?;
    weigh(c.engine()?, &nodes, &servers, seen)
}

/// Pure: members whose server does not run are not ready, whatever the
/// cluster still believes.
fn weigh(coe: Coe, nodes: &[Node], servers: &[Server], seen: &Observed) -> Result<Verdict> {
    let expected: Vec<&Node> = nodes.iter().filter(|n| n.status.wanted()).collect();
    let lost: Vec<(&Node, String)> = expected
        .iter()
        .filter_map(|n| {
            let server = servers.iter().find(|s| s.name == n.name)?;
            Some((*n, trouble(server)?))
        })
        .collect();
    let mut seen = seen.clone();
    for member in &mut seen.nodes {
        if lost.iter().any(|(n, _)| n.name == member.hostname) {
            member.state = "down".into();
        }
    }
    let masters = expected.iter().filter(|n| n.is_master).count();
    let silent = masters > 0 && lost.iter().filter(|(n, _)| n.is_master).count() == masters;
    let names: Vec<String> = expected.iter().map(|n| n.name.clone()).collect();
    let (status, mut reason) = coe.judge(&names, &seen);
    if let Some(map) = reason.as_object_mut() {
        if silent {
            map.insert("api".into(), "unreachable: no master runs".into());
        }
        for (n, why) in lost {
            map.insert(format!("{}.Ready", n.name), "False".into());
            map.insert(format!("{}.Server", n.name), why.into());
        }
    }
    Ok((if silent { "UNHEALTHY" } else { status }, reason))
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
/// As the database and compute.
pub(crate) async fn follow(d: &ClustersDeps, c: &Cluster) -> Result<()> {
    if hands_off(c)? {
        return Ok(());
    }
    let told = node::table::swarm(&d.db, &c.uuid).await?.observed;
    // Nothing was observed yet: there is nothing to correct.
    let Ok(seen) = serde_json::from_str::<Observed>(&told) else {
        return Ok(());
    };
    let (status, reason) = judge(d, c, &seen).await?;
    if c.health_status.as_deref() == Some(status) && c.health_status_reason == reason {
        return Ok(());
    }
    let mut tx = d.db.begin().await?;
    table::set_health(&mut tx, &c.uuid, Some(status), &reason).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nodewire::ObservedNode;
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
            id: name.into(),
            project_id: "p".into(),
            name: name.into(),
            status,
            fault: None,
            progress: None,
            image_id: String::new(),
            flavor_id: String::new(),
            host: None,
            addresses: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    fn seen() -> Observed {
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
        Observed {
            nodes: vec![member("m-0"), member("w-0")],
            ipvs: true,
            version: String::new(),
            problem: None,
            addons: Vec::new(),
        }
    }

    #[test]
    fn a_dead_server_is_told_before_the_cluster_notices() {
        let nodes = [node("m-0", true), node("w-0", false)];
        let mut servers = [
            server("m-0", ServerStatus::Active),
            server("w-0", ServerStatus::Active),
        ];
        let verdict = |servers: &[Server]| weigh(Coe::Swarm, &nodes, servers, &seen()).unwrap();
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
}
