//! The reconciler of clusters: loads the row, reads the stack, performs one
//! step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::Lease;
use flow::{Next, Reconciler};
use kernel::{Ctx, Error, Kind, OwnerKey, Result, clock};
use orchestration::api::{NewStack, Signal, Stack, StackUpdate, Status};
use serde_json::{Value, json};

use super::model::{Cluster, Intent};
use super::plan::{PlanStep, decide};
use super::{
    KIND, failed_servers, finish, heal, health, node_removal, rollback, signal, stack, table,
};
use crate::ClustersDeps;
use crate::coe::hot::{self, HANDLE, Sizes};
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup;
use crate::notify::{self, Outcome};
use crate::{template, tokens};

/// Number of attempts to create a stack before the cluster fails.
const TRIES: i64 = 6;
/// Delay between attempts to delete a stack whose deletion failed.
const DELETE_RETRY: Duration = Duration::from_secs(5);
/// Resync interval while an event is awaited.
const RESYNC_INTERVAL: Duration = Duration::from_secs(15);

/// Builds, resizes and removes clusters.
pub(crate) struct Clusters(pub(crate) Arc<ClustersDeps>);

#[async_trait]
impl Reconciler for Clusters {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        let d = &*self.0;
        let Some(cluster) = table::load(&d.db, &lease.id).await? else {
            return Ok(Next::Gone);
        };
        if !cluster.in_progress() && cluster.intent != Intent::Delete {
            health::refresh_health(d, lease, &cluster).await?;
            heal::start_auto_heal(d, lease, &cluster).await?;
            return Ok(Next::Done);
        }
        let run = Run {
            d,
            lease,
            ctx: Ctx::for_project(kernel::ids::request_id(), &cluster.project_id)
                .with_generation(lease.epoch),
            nodes: node::table::of_cluster(&d.db, &cluster.uuid).await?,
            cluster,
        };
        run.step().await
    }
}

struct Run<'a> {
    d: &'a ClustersDeps,
    lease: &'a Lease,
    ctx: Ctx,
    cluster: Cluster,
    nodes: Vec<Node>,
}

impl Run<'_> {
    async fn step(&self) -> Result<Next> {
        let stack = self.stack().await?;
        if let Some(stack) = &stack
            && self.cluster.intent != Intent::Delete
        {
            let (d, lease, c) = (self.d, self.lease, &self.cluster);
            if failed_servers::fail_nodes_of_failed_servers(
                d,
                lease,
                &self.ctx,
                c,
                &self.nodes,
                stack,
            )
            .await?
            {
                return Ok(Next::Again);
            }
            self.repeat_signals().await?;
        }
        let tasks = node::table::tasks(&self.d.db, &self.cluster.uuid).await?;
        let now = clock::now_micros();
        let coe = self.cluster.engine()?;
        match decide(coe, &self.cluster, &self.nodes, &tasks, stack.as_ref(), now) {
            PlanStep::Idle => Ok(Next::Done),
            PlanStep::CreateStack => {
                let done = self.create_stack().await;
                self.finish_stack_update(&tasks, done).await
            }
            PlanStep::UpdateStack => {
                let done = self.update_stack().await;
                self.finish_stack_update(&tasks, done).await
            }
            PlanStep::RemoveNodeObjects(names) => {
                node_removal::create_removal_tasks(self.d, self.lease, &self.cluster, &names)
                    .await?;
                Ok(Next::Again)
            }
            PlanStep::ChangeEtcdMember(kind, name) => {
                heal::change_etcd_member(self.d, self.lease, &self.cluster, kind, &name).await?;
                Ok(Next::Again)
            }
            PlanStep::Rebuild(ids) => {
                heal::rebuild(self.d, self.lease, &self.ctx, &self.cluster, &ids).await?;
                Ok(Next::Again)
            }
            PlanStep::CancelResize(why) => {
                node_removal::cancel_resize(self.d, self.lease, &self.cluster, &tasks, &why)
                    .await?;
                Ok(Next::Done)
            }
            PlanStep::StartRollback(why) => {
                rollback::start_rollback(self.d, self.lease, &self.cluster, &tasks, &why).await?;
                Ok(Next::Again)
            }
            PlanStep::DeleteStack => self.delete_stack(stack.as_ref()).await,
            PlanStep::Purge => {
                self.block_stack_creation().await?;
                self.purge().await?;
                Ok(Next::Gone)
            }
            PlanStep::Wait(why) => {
                if let Some(why) = why {
                    self.set_status_reason(&self.cluster.status, &why).await?;
                }
                Ok(Next::After(RESYNC_INTERVAL))
            }
            PlanStep::WaitUntil(at, why) => {
                self.set_status_reason(&self.cluster.status, &why).await?;
                let left = u64::try_from(at - now).unwrap_or(0);
                Ok(Next::After(Duration::from_micros(left)))
            }
            PlanStep::Finish(outcome) => {
                finish::finish_operation(
                    self.d,
                    self.lease,
                    &self.cluster,
                    stack.as_ref(),
                    outcome,
                )
                .await?;
                // Handle a server that was lost during the operation now.
                Ok(Next::Again)
            }
        }
    }

    /// Returns `None` only if orchestration reports that the stack does not
    /// exist.
    async fn stack(&self) -> Result<Option<Stack>> {
        let stacks = &self.d.orchestration.stacks;
        match stacks.show(&self.ctx, &self.cluster.stack_id).await {
            Ok(stack) => Ok(Some(stack)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Updates `status_reason` with the current wait, keeping the cause of a
    /// rollback.
    async fn set_status_reason(&self, status: &str, why: &str) -> Result<()> {
        let both = self.cluster.cause.as_ref();
        let both = both.map(|cause| format!("{cause} (rolling back: {why})"));
        let why = both.as_deref().unwrap_or(why);
        if self.cluster.status_reason.as_deref() == Some(why) && self.cluster.status == status {
            return Ok(());
        }
        db::fenced!(self.d.db, self.lease, |tx| {
            table::finish(tx, &self.cluster, status, Some(why)).await
        })
        .map(|_| ())
    }

    /// Handles the result of a stack update: a permanent error ends the
    /// operation.
    async fn finish_stack_update(&self, tasks: &[Task], done: Result<Next>) -> Result<Next> {
        match done {
            Err(e) if e.is_transient() => Err(e),
            Err(e) if matches!(e.kind, Kind::Internal) && self.lease.attempts < TRIES => Err(e),
            Err(e) => {
                tracing::warn!(cluster = self.cluster.uuid, error = %e, "the stack was refused");
                let (d, lease, c) = (self.d, self.lease, &self.cluster);
                if rollback::is_requested(c) {
                    rollback::start_rollback(d, lease, c, tasks, &e.message).await?;
                } else {
                    finish::finish_operation(d, lease, c, None, Err(e.message)).await?;
                }
                Ok(Next::Done)
            }
            ok => ok,
        }
    }

    async fn mark_generation_sent(&self) -> Result<()> {
        let c = &self.cluster;
        db::fenced!(self.d.db, self.lease, |tx| {
            table::set_sent(tx, &c.uuid, c.generation).await
        })
    }

    async fn create_stack(&self) -> Result<Next> {
        let c = &self.cluster;
        let groups = nodegroup::table::of_cluster(&self.d.db, &c.uuid).await?;
        let template = template::table::find(&self.d.db, &c.cluster_template_id, false, None)
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("ClusterTemplate", &c.cluster_template_id))?;
        let balanced = self.balancer().is_some();
        let shape = stack::shape(self.d, &self.ctx, c, &template, balanced).await?;
        let coe = c.engine()?;
        let flavour = coe.flavour(coe.api_port(template.apiserver_port));
        let mut parameters = hot::size_parameters(&self.sizes()?);
        parameters.extend(stack::fixed_parameters(self.d, c, &groups));
        if let Some(n) = self.balancer() {
            parameters.insert("balancer_token".into(), json!(self.token(n)?));
        }
        let new = NewStack {
            id: c.stack_id.clone(),
            project_id: c.project_id.clone(),
            name: stack::name(c),
            template: hot::template(&shape, &flavour),
            parameters,
            timeout_mins: Some(c.create_timeout).filter(|t| *t > 0),
            disable_rollback: true,
            owner: Some(OwnerKey::new(KIND, &c.uuid)),
        };
        self.d.orchestration.stacks.create(&self.ctx, new).await?;
        self.mark_generation_sent().await?;
        Ok(Next::After(RESYNC_INTERVAL))
    }

    /// Sends the new sizes to the stack. Existing servers keep their tokens, so
    /// their user data does not change. The stack never rolls back
    /// automatically: see `rollback`.
    async fn update_stack(&self) -> Result<Next> {
        self.clear_failure_signals().await?;
        let update = StackUpdate {
            parameters: hot::size_parameters(&self.sizes()?),
            timeout_mins: Some(self.cluster.create_timeout).filter(|t| *t > 0),
            disable_rollback: true,
            ..StackUpdate::default()
        };
        let stacks = &self.d.orchestration.stacks;
        match stacks
            .update(&self.ctx, &self.cluster.stack_id, update)
            .await
        {
            Ok(_) => {
                self.mark_generation_sent().await?;
                Ok(Next::After(RESYNC_INTERVAL))
            }
            // The previous action of the stack has to end first; its end marks
            // this key.
            Err(e) if matches!(e.kind, Kind::Conflict) => Ok(Next::After(Duration::from_secs(1))),
            Err(e) => Err(e),
        }
    }

    /// Prevents a delayed creation of the stack after the cluster is deleted.
    async fn block_stack_creation(&self) -> Result<()> {
        let stacks = &self.d.orchestration.stacks;
        match stacks.delete(&self.ctx, &self.cluster.stack_id).await {
            Err(e) if e.is_not_found() => Ok(()),
            // The creation took place first: the next run deletes the stack.
            Ok(()) => Err(Error::unavailable("The stack of the cluster is back.")),
            Err(e) => Err(e),
        }
    }

    async fn purge(&self) -> Result<()> {
        let c = &self.cluster;
        db::fenced!(self.d.db, self.lease, |tx| {
            let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
            notify::push(tx, None, "delete", Outcome::Success, c, &groups).await?;
            table::purge(tx, &c.uuid).await
        })
    }

    async fn delete_stack(&self, stack: Option<&Stack>) -> Result<Next> {
        let failed = stack.filter(|s| {
            s.status == Status::Failed && s.action == orchestration::api::Action::Delete
        });
        if let Some(stack) = failed
            && self.cluster.status != "DELETE_FAILED"
        {
            self.set_status_reason("DELETE_FAILED", &stack.status_reason)
                .await?;
            return Ok(Next::After(DELETE_RETRY));
        }
        let stacks = &self.d.orchestration.stacks;
        stacks.delete(&self.ctx, &self.cluster.stack_id).await?;
        let why = match failed {
            Some(s) => format!("Trying again after: {}", s.status_reason),
            None => "Waiting for the stack of the cluster to be removed.".to_owned(),
        };
        self.set_status_reason("DELETE_IN_PROGRESS", &why).await?;
        Ok(Next::After(DELETE_RETRY))
    }

    /// Repeats signals of nodes that the stack did not accept.
    async fn repeat_signals(&self) -> Result<()> {
        for n in self
            .nodes
            .iter()
            .filter(|n| n.signal.is_some() && !n.signalled)
        {
            signal::repeat(self.d, self.lease, &self.ctx, &self.cluster, n).await?;
        }
        Ok(())
    }

    /// A failed node that leaves must not fail the wait condition again.
    async fn clear_failure_signals(&self) -> Result<()> {
        let leaving = self
            .nodes
            .iter()
            .filter(|n| n.status == NodeStatus::Leaving && n.signal.as_deref() == Some("FAILURE"));
        for n in leaving {
            let word = Signal {
                id: n.name.clone(),
                status: "SUCCESS".into(),
                reason: "removed after its failure".into(),
                data: Value::Null,
            };
            let stacks = &self.d.orchestration.stacks;
            stacks
                .signal(&self.ctx, &self.cluster.stack_id, HANDLE, word)
                .await?;
        }
        Ok(())
    }

    fn sizes(&self) -> Result<Sizes> {
        let group = |masters: bool| -> Result<hot::Group> {
            let mut out = hot::Group::default();
            let members = self.nodes.iter().filter(|n| !n.is_balancer);
            for n in members.filter(|n| n.is_master == masters) {
                if n.status.wanted() {
                    out.count += 1;
                    out.tokens.insert(n.index.to_string(), self.token(n)?);
                } else {
                    out.removed.push(n.index.to_string());
                }
            }
            Ok(out)
        };
        Ok(Sizes {
            masters: group(true)?,
            workers: group(false)?,
            wait_count: self
                .nodes
                .iter()
                .filter(|n| n.status.wanted() || n.signal.is_some())
                .count(),
        })
    }

    fn token(&self, n: &Node) -> Result<String> {
        tokens::stack_token(&self.d.sealer, n)
    }

    fn balancer(&self) -> Option<&Node> {
        self.nodes.iter().find(|n| n.is_balancer)
    }
}
