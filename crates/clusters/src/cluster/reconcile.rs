//! The reconciler of clusters: loads a cluster, plans its next steps, performs
//! them.

use std::sync::Arc;

use async_trait::async_trait;
use db::Lease;
use flow::{Next, Reconciler};
use kernel::{Ctx, Result, clock};
use orchestration::api::Stack;

use super::apply::{self, run::Run};
use super::model::{Cluster, Intent};
use super::plan::{NodeFailure, decide, failures, is_idle};
use super::{KIND, heal, health, servers, table};
use crate::node::{self, Node};
use crate::{ClusterId, ClustersDeps};

/// Builds, resizes and removes clusters.
pub(crate) struct Clusters(pub(crate) Arc<ClustersDeps>);

#[async_trait]
impl Reconciler for Clusters {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let d = &*self.0;
        let Some(cluster) = table::load(&d.db, &ClusterId::from(&lease.id)).await? else {
            return Ok(Next::Gone);
        };
        if is_idle(&cluster) {
            health::refresh_health(d, lease, &cluster).await?;
            heal::start_auto_heal(d, lease, &cluster).await?;
            return Ok(Next::Done);
        }
        let run = load(d, lease, cluster).await?;
        let mut next = Next::Done;
        for step in decide(run.desired(), run.observed()) {
            next = apply::apply(&run, &step).await?;
        }
        Ok(next)
    }
}

async fn load<'a>(d: &'a ClustersDeps, lease: &'a Lease, cluster: Cluster) -> Result<Run<'a>> {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &cluster.project_id)
        .with_generation(lease.epoch);
    let nodes = node::table::of_cluster(&d.db, &cluster.uuid).await?;
    let stack = stack(d, &ctx, &cluster).await?;
    let failures = node_failures(d, &ctx, (&cluster, &nodes), stack.as_ref()).await?;
    let tasks = node::table::tasks(&d.db, &cluster.uuid).await?;
    Ok(Run {
        d,
        lease,
        coe: cluster.engine()?,
        nodes,
        tasks,
        stack,
        failures,
        now: clock::now(),
        ctx,
        cluster,
    })
}

/// Returns `None` only if orchestration reports that the stack does not exist.
async fn stack(d: &ClustersDeps, ctx: &Ctx, c: &Cluster) -> Result<Option<Stack>> {
    match d.orchestration.stacks.show(ctx, &c.stack_id).await {
        Ok(stack) => Ok(Some(stack)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Awaited nodes whose servers are in error.
async fn node_failures(
    d: &ClustersDeps,
    ctx: &Ctx,
    (c, nodes): (&Cluster, &[Node]),
    stack: Option<&Stack>,
) -> Result<Vec<NodeFailure>> {
    match stack {
        Some(stack) if c.intent != Intent::Delete && failures::are_possible(c, nodes, stack) => {
            let servers = servers::of_cluster(d, ctx, c).await?;
            Ok(failures::find(nodes, stack, &servers))
        }
        _ => Ok(Vec::new()),
    }
}
