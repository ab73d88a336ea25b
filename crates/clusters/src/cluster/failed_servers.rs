//! Reports the failure of servers that stop after the stack has created them
//! but before their agents report: the state from compute is used instead.

use compute::api::{Server, ServerStatus};
use db::Lease;
use kernel::{Ctx, OwnerKey, Result, clock};
use orchestration::api::{Stack, Status};

use super::model::{Cluster, Intent};
use crate::ClustersDeps;
use crate::node::{self, Node, NodeStatus};

/// Name of the step that reports a server in error.
const STEP: &str = "server";

/// Fails awaited nodes whose servers have failed, and returns whether there
/// were any. The next run signals their wait condition. The server of a node
/// that is being rebuilt is in error until the stack has rebuilt it, so it is
/// ignored while the stack is in progress.
///
/// # Errors
/// Fails if the database or compute fails.
pub(crate) async fn fail_nodes_of_failed_servers(
    d: &ClustersDeps,
    lease: &Lease,
    ctx: &Ctx,
    c: &Cluster,
    nodes: &[Node],
    stack: &Stack,
) -> Result<bool> {
    let building = matches!(c.intent, Intent::Create | Intent::Resize | Intent::Rollback);
    let at_work = stack.status == Status::InProgress;
    let may_fail = |n: &Node| is_awaited(n) && !(at_work && is_waiting_for_rebuild(n));
    if !building || !nodes.iter().any(may_fail) {
        return Ok(false);
    }
    let owner = OwnerKey::new(orchestration::KIND, &c.stack_id);
    let servers = d.compute.servers.of_owner(ctx, &owner).await?;
    let nodes: Vec<&Node> = nodes.iter().filter(|n| may_fail(n)).collect();
    let failed = failed_servers(&nodes, &servers);
    if failed.is_empty() {
        return Ok(false);
    }
    db::fenced!(d.db, lease, |tx| {
        for (id, why) in &failed {
            let Some(mut n) = node::table::load_tx(tx, id).await? else {
                continue;
            };
            // The report of the agent may have come first, and it is more
            // precise.
            if may_fail(&n) {
                n.report(STEP, "failed", clock::now_micros(), why);
                n.status = NodeStatus::Failed;
                n.signal = Some("FAILURE".into());
                n.signalled = false;
                node::table::save_fenced(tx, &n).await?;
            }
        }
        Ok(true)
    })
}

/// Returns the names of the servers of a cluster that are in error and have to
/// be replaced, and the names of all servers whose containers do not run.
///
/// # Errors
/// Fails if compute fails.
pub(crate) async fn unavailable_servers(
    d: &ClustersDeps,
    c: &Cluster,
) -> Result<(Vec<String>, Vec<String>)> {
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

/// Its server is being rebuilt and its agent has not registered yet.
fn is_waiting_for_rebuild(n: &Node) -> bool {
    n.fresh_sealed.is_some() && n.session_hash.is_none()
}

fn is_awaited(n: &Node) -> bool {
    matches!(n.status, NodeStatus::Waiting | NodeStatus::Running)
}

/// Returns the id of each awaited node whose server is in error, with the
/// reason.
fn failed_servers<'a>(nodes: &[&'a Node], servers: &'a [Server]) -> Vec<(&'a str, &'a str)> {
    nodes
        .iter()
        .filter(|n| is_awaited(n))
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

    use compute::api::Fault;

    use super::*;

    #[test]
    fn only_awaited_nodes_fail_with_their_servers() {
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
        let found = failed_servers(&nodes, &servers);
        assert_eq!(found, [("w", "was killed for lack of memory")]);
    }
}
