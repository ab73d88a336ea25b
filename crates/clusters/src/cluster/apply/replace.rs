//! Makes the stack rebuild the servers of lost nodes, each with a new token. A
//! repeat after a crash finds the stored tokens, which also identify the
//! incidents for the stack.

use flow::Next;
use kernel::{Result, clock};
use orchestration::api::{StackUpdate, Unhealthy};

use super::run::Run;
use super::sizes;
use crate::cluster::KIND;
use crate::coe::hot::BALANCER;
use crate::node::{self, Node, NodeEvent, NodeStatus};
use crate::nodegroup::{self, Group};
use crate::{NodeId, tokens};

pub(super) async fn replace(run: &Run<'_>, ids: &[NodeId]) -> Result<Next> {
    let (d, c) = (run.d, &run.cluster);
    let lost = renew_tokens(run, ids).await?;
    let groups = nodegroup::table::of_operation(&d.db, &c.uuid).await?;
    let unhealthy: Vec<Unhealthy> = lost.iter().map(|n| unhealthy(n, &groups)).collect();
    let stacks = &d.orchestration.stacks;
    stacks
        .mark_unhealthy(&run.ctx, &c.stack_id, &unhealthy, "its server is lost")
        .await?;
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    let update = StackUpdate {
        parameters: sizes::tokens(&d.sealer, c, &groups, &nodes)?,
        timeout_mins: run.timeout_mins(),
        disable_rollback: true,
        ..StackUpdate::default()
    };
    stacks.update(&run.ctx, &c.stack_id, update).await?;
    db::fenced!(d.db, run.lease, |tx| {
        for n in &lost {
            if let Some(mut n) = node::table::load_tx(tx, &n.id).await?
                && n.status == NodeStatus::Lost
            {
                n.status = n.status.after(NodeEvent::Rebuilding);
                node::table::set_observed_status(tx, &n).await?;
            }
        }
        tx.wake(KIND, &c.uuid);
        Ok(())
    })?;
    Ok(Next::Again)
}

/// Stores new tokens of nodes, and returns the nodes.
async fn renew_tokens(run: &Run<'_>, ids: &[NodeId]) -> Result<Vec<Node>> {
    db::fenced!(run.d.db, run.lease, |tx| {
        let mut lost = Vec::new();
        for id in ids {
            let Some(mut n) = node::table::load_tx(tx, id).await? else {
                continue;
            };
            let now = clock::now();
            let armed =
                n.fresh_sealed.is_some() && n.session_hash.is_none() && n.token_expires > now;
            if !armed {
                tokens::replace_token(&run.d.sealer, &run.cluster, &mut n)?;
                node::table::replace_token(tx, &n).await?;
            }
            lost.push(n);
        }
        Ok(lost)
    })
}

/// The resource of a node in the stack of its cluster.
fn unhealthy(n: &Node, groups: &[Group]) -> Unhealthy {
    let incident = n.token_hash.clone();
    let group = groups.iter().find(|g| g.name == n.nodegroup);
    match group {
        Some(group) => Unhealthy {
            group: Some(group.resource()),
            name: n.index.to_string(),
            incident,
        },
        // The balancer belongs to no group.
        None => Unhealthy {
            group: None,
            name: BALANCER.into(),
            incident,
        },
    }
}
