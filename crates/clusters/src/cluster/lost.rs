//! Servers that die after the stack took them for done, before their agents
//! could say what is wrong: what compute knows is said for them.

use compute::face::{Server, ServerStatus};
use db::Lease;
use kernel::{Ctx, OwnerKey, Result, clock};
use orchestration::face::{Stack, Status};

use super::model::{Cluster, Intent};
use crate::ClustersDeps;
use crate::node::{self, Node, NodeStatus};

/// The step of a node whose server is in error.
const STEP: &str = "server";

/// Fails the nodes that are awaited and whose servers have failed; answers
/// whether there were any. Their wait condition is told by the next run. The
/// server of a node that comes back is in error until the stack has rebuilt
/// it: it says nothing while the stack is at work.
///
/// # Errors
/// As the database and compute.
pub(crate) async fn blame(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    c: &Cluster,
    nodes: &[Node],
    stack: &Stack,
) -> Result<bool> {
    let building = matches!(c.intent, Intent::Create | Intent::Resize | Intent::Rollback);
    let at_work = stack.status == Status::InProgress;
    let awaited = |n: &Node| awaited(n) && !(at_work && comes_back(n));
    if !building || !nodes.iter().any(awaited) {
        return Ok(false);
    }
    let owner = OwnerKey::new(orchestration::KIND, &c.stack_id);
    let servers = d.compute.servers.of_owner(ctx, &owner).await?;
    let nodes: Vec<&Node> = nodes.iter().filter(|n| awaited(n)).collect();
    let failed = failed(&nodes, &servers);
    if failed.is_empty() {
        return Ok(false);
    }
    let mut tx = d.db.begin().await?;
    tx.fence(lease).await?;
    for (id, why) in failed {
        let Some(mut n) = node::table::load_tx(&mut tx, id).await? else {
            continue;
        };
        // Its agent may have come first, and knows better.
        if awaited(&n) {
            n.report(STEP, "failed", clock::now_micros(), why);
            n.status = NodeStatus::Failed;
            n.signal = Some("FAILURE".into());
            n.signalled = false;
            node::table::save(&mut tx, &n).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Names of the servers of a cluster that are in error: only another one can
/// take their place; and of all whose containers do not run.
///
/// # Errors
/// As compute.
pub(crate) async fn dead(d: &ClustersDeps, c: &Cluster) -> Result<(Vec<String>, Vec<String>)> {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let owner = OwnerKey::new(orchestration::KIND, &c.stack_id);
    let servers = d.compute.servers.of_owner(&ctx, &owner).await?;
    let named = |all: &[ServerStatus]| -> Vec<String> {
        let of = |s: &&Server| all.contains(&s.status);
        servers.iter().filter(of).map(|s| s.name.clone()).collect()
    };
    let (stopped, error) = (ServerStatus::Shutoff, ServerStatus::Error);
    Ok((named(&[error]), named(&[stopped, error])))
}

/// Its server is made anew and has not called yet.
fn comes_back(n: &Node) -> bool {
    n.fresh_sealed.is_some() && n.session_hash.is_none()
}

fn awaited(n: &Node) -> bool {
    matches!(n.status, NodeStatus::Waiting | NodeStatus::Running)
}

/// Id of each awaited node whose server is in error, and why.
fn failed<'a>(nodes: &[&'a Node], servers: &'a [Server]) -> Vec<(&'a str, &'a str)> {
    nodes
        .iter()
        .filter(|n| awaited(n))
        .filter_map(|n| {
            let server = servers.iter().find(|s| s.name == n.name)?;
            let why = server.fault.as_ref().map_or("", |f| f.message.as_str());
            (server.status == ServerStatus::Error).then_some((n.id.as_str(), why))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use compute::face::Fault;

    use super::*;

    #[test]
    fn only_awaited_nodes_are_blamed_for_their_servers() {
        let node = |name: &str, status| Node {
            id: name.into(),
            name: name.into(),
            status,
            ..Node::default()
        };
        let server = |name: &str, status| Server {
            id: format!("s-{name}"),
            project_id: "p".into(),
            name: name.into(),
            status,
            fault: Some(Fault {
                code: 500,
                message: "was killed for lack of memory".into(),
            }),
            progress: None,
            image_id: String::new(),
            flavor_id: String::new(),
            host: None,
            addresses: Vec::new(),
            metadata: BTreeMap::new(),
        };
        let nodes = [
            node("m", NodeStatus::Ready),
            node("w", NodeStatus::Running),
            node("x", NodeStatus::Waiting),
            node("y", NodeStatus::Waiting),
        ];
        let servers = [
            server("m", ServerStatus::Error),
            server("w", ServerStatus::Error),
            server("x", ServerStatus::Active),
        ];
        let nodes: Vec<&Node> = nodes.iter().collect();
        let found = failed(&nodes, &servers);
        assert_eq!(found, [("w", "was killed for lack of memory")]);
    }
}
