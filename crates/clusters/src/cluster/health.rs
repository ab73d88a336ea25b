//! Health of a cluster, derived from reports of its managers and from the state
//! of its servers. Compute notices a stopped container immediately, the members
//! of the cluster only after missed heartbeats, and a stopped manager reports
//! nothing.

use compute::api::{Server, ServerStatus};
use db::Lease;
use kernel::{Ctx, Error, Result};
use serde_json::Value;

use super::master_reports::MasterReports;
use super::{Cluster, servers, table};
use crate::coe::Coe;
use crate::coe::kubernetes::health::delegated;
use crate::node::{self, Node};
use crate::{ClustersDeps, certificate};

/// New values of `health_status` and `health_status_reason`.
pub(crate) type HealthUpdate = (&'static str, Value);

/// Whether a controller inside the cluster sets its health.
pub(crate) fn is_health_delegated(c: &Cluster) -> Result<bool> {
    Ok(c.engine()? == Coe::Kubernetes && delegated(&c.labels))
}

/// Maximum number of attempts when masters report concurrently.
pub(crate) const REPORT_ATTEMPTS: usize = 8;
/// Problem text of a restarted master that has not reported yet.
const NOT_REPORTED_YET: &str = "no report since its server stopped";

/// Combines an observation with the current server states. A master whose
/// server does not run is unhealthy until its next report, because its
/// container restarts long before its API server.
///
/// # Errors
/// Fails if compute fails.
pub(crate) async fn evaluate_health(
    d: &ClustersDeps,
    c: &Cluster,
    reports: &mut MasterReports,
) -> Result<HealthUpdate> {
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let servers = servers::of_cluster(d, &ctx, c).await?;
    let coe = c.engine()?;
    if coe == Coe::Kubernetes {
        mark_masters_down(&nodes, &servers, reports);
    }
    let (status, mut reason) = health_from_reports(coe, &nodes, &servers, reports);
    certificate::authorities::warn_before_end(d, c, &mut reason).await?;
    Ok((status, reason))
}

/// A paused master resumes where it stopped, so its agent has nothing new to
/// report.
fn mark_masters_down(nodes: &[Node], servers: &[Server], reports: &mut MasterReports) {
    let masters = nodes.iter().filter(|n| n.is_master && n.status.wanted());
    for n in masters {
        let ended = |s: &&Server| {
            s.name == n.name && matches!(s.status, ServerStatus::Shutoff | ServerStatus::Error)
        };
        if servers.iter().any(|s| ended(&s)) {
            let problem = reports.problems.entry(n.name.clone());
            problem.or_insert_with(|| NOT_REPORTED_YET.to_owned());
        }
    }
}

/// Returns the nodes whose servers do not run, with the reasons.
fn nodes_without_running_server<'a>(
    nodes: &'a [Node],
    servers: &[Server],
) -> Vec<(&'a Node, String)> {
    nodes
        .iter()
        .filter(|n| n.status.wanted())
        .filter_map(|n| {
            let server = servers.iter().find(|s| s.name == n.name)?;
            Some((n, trouble(server)?))
        })
        .collect()
}

/// Pure. Members whose server does not run are not ready, even if the cluster
/// still reports them as ready. The balancer is not a member, but without it
/// the API is unreachable at `api_address`.
fn health_from_reports(
    coe: Coe,
    nodes: &[Node],
    servers: &[Server],
    reports: &MasterReports,
) -> HealthUpdate {
    let wanted = || nodes.iter().filter(|n| n.status.wanted());
    let lost = nodes_without_running_server(nodes, servers);
    let is_lost = |name: &str| lost.iter().any(|(n, _)| n.name == name);
    let mut seen = reports.seen.clone();
    for member in &mut seen.nodes {
        if is_lost(&member.hostname) {
            member.state = "down".into();
        }
    }
    let masters: Vec<&Node> = wanted().filter(|n| n.is_master).collect();
    let running_masters = masters.iter().filter(|n| !is_lost(&n.name)).count();
    let silent = !masters.is_empty() && running_masters == 0;
    // Reports from nodes that are down are stale.
    let unhealthy: Vec<(&String, &String)> = reports
        .problems
        .iter()
        .filter(|(name, _)| masters.iter().any(|n| n.name == **name) && !is_lost(name))
        .collect();
    if unhealthy.len() >= running_masters {
        seen.problem = match unhealthy.as_slice() {
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
    let (mut status, mut reason) = coe.evaluate_health(&names, &seen);
    if let Some(map) = reason.as_object_mut() {
        if seen.problem.is_none() {
            for (name, why) in unhealthy {
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

/// Describes the problem of a server; `None` if it runs or is being built.
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

/// Refreshes the health of an idle cluster whose servers may have changed.
///
/// # Errors
/// As the database and compute; unavailable: too many concurrent reports of
/// masters.
pub(crate) async fn refresh_health(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<()> {
    if is_health_delegated(c)? {
        return Ok(());
    }
    for _ in 0..REPORT_ATTEMPTS {
        if refresh_once(d, lease, c).await? {
            return Ok(());
        }
    }
    Err(Error::unavailable(
        "Too many concurrent status reports; retry.",
    ))
}

/// Returns `false` if a master reported concurrently.
async fn refresh_once(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<bool> {
    let stored = node::table::swarm(&d.db, &c.uuid).await?.observed;
    // There is no observation to correct yet.
    let Some(mut reports) = MasterReports::read(&stored) else {
        return Ok(true);
    };
    let (status, reason) = evaluate_health(d, c, &mut reports).await?;
    let text = serde_json::to_string(&reports)?;
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
        table::set_observed_health(tx, &c.uuid, status, &reason).await?;
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
            ..crate::tests::fixture::server(name)
        }
    }

    fn reports(names: &[&str]) -> MasterReports {
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
        MasterReports::with_report(None, "m-0", &seen)
    }

    #[test]
    fn a_dead_server_is_reported_before_the_cluster_notices() {
        let nodes = [node("m-0", true), node("w-0", false)];
        let mut servers = [
            server("m-0", ServerStatus::Active),
            server("w-0", ServerStatus::Active),
        ];
        let reports = reports(&["m-0", "w-0"]);
        let verdict =
            |servers: &[Server]| health_from_reports(Coe::Swarm, &nodes, servers, &reports);
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
        let mut reports = reports(&masters);
        let verdict = |servers: &[Server], reports: &MasterReports| {
            health_from_reports(Coe::Kubernetes, &nodes, servers, reports)
        };
        let (status, reason) = verdict(&servers, &reports);
        assert_eq!(status, "HEALTHY");
        assert_eq!(reason.as_object().unwrap().len(), 4, "{reason}");

        servers[1].status = ServerStatus::Shutoff;
        let (status, reason) = verdict(&servers, &reports);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-1.Ready"], "False");
        // Its last report before the stop is no longer used.
        reports.problems.insert("m-1".into(), "etcd".into());
        assert_eq!(verdict(&servers, &reports).1, reason);
        servers[1].status = ServerStatus::Active;
        let (status, reason) = verdict(&servers, &reports);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-1.api"], "etcd");
        for name in ["m-0", "m-2"] {
            reports.problems.insert(name.into(), "etcd".into());
        }
        let all = "m-0: etcd; m-1: etcd; m-2: etcd";
        assert_eq!(verdict(&servers, &reports).1, json!({ "api": all }));

        // Its container runs long before its API server.
        reports.problems.clear();
        servers[0].status = ServerStatus::Paused;
        servers[2].status = ServerStatus::Shutoff;
        mark_masters_down(&nodes, &servers, &mut reports);
        servers[0].status = ServerStatus::Active;
        servers[2].status = ServerStatus::Active;
        let (status, reason) = verdict(&servers, &reports);
        assert_eq!((status, &reason["api"]), ("UNHEALTHY", &json!("ok")));
        assert_eq!(reason["m-2.api"], NOT_REPORTED_YET);
        assert_eq!(reason.get("m-0.api"), None);

        reports.problems.clear();
        servers[3].status = ServerStatus::Shutoff;
        let (status, reason) = verdict(&servers, &reports);
        assert_eq!(status, "UNHEALTHY");
        assert_eq!(reason["api"], "unreachable: the balancer does not run");
        assert!(reason["lb.Server"].as_str().unwrap().contains("SHUTOFF"));
        assert_eq!(reason.get("lb.Ready"), None);
    }
}
