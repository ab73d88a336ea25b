//! The reconciler of clusters: loads, looks at the stack, takes one step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::Lease;
use flow::{Next, Reconciler};
use kernel::{Ctx, Error, Kind, OwnerKey, Result, clock};
use orchestration::face::{NewStack, Signal, Stack, StackUpdate, Status};
use serde_json::{Value, json};

use super::model::{Cluster, Intent};
use super::plan::{Move, decide};
use super::signal::signal;
use super::{KIND, heal, health, leave, lost, rollback, settle, stack, table};
use crate::ClustersDeps;
use crate::coe::hot::{self, HANDLE, Sizes};
use crate::node::{self, Node, NodeStatus, Task};
use crate::nodegroup;
use crate::{template, tokens};

/// A stack that cannot be made is tried so often before the cluster fails.
const TRIES: i64 = 6;
/// Between two tries to remove a stack that fails to go.
const DELETE_RETRY: Duration = Duration::from_secs(5);
/// The safety net while an event is awaited.
const GLANCE: Duration = Duration::from_secs(15);

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
            health::follow(d, &cluster).await?;
            heal::follow(d, &cluster).await?;
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
            if lost::blame(d, lease, &self.ctx, c, &self.nodes, stack).await? {
                return Ok(Next::Again);
            }
            self.repeat_signals().await?;
        }
        let tasks = node::table::tasks(&self.d.db, &self.cluster.uuid).await?;
        let now = clock::now_micros();
        let coe = self.cluster.engine()?;
        match decide(coe, &self.cluster, &self.nodes, &tasks, stack.as_ref(), now) {
            Move::Rest => Ok(Next::Done),
            Move::CreateStack => {
                let done = self.create_stack().await;
                self.told(&tasks, done).await
            }
            Move::UpdateStack => {
                let done = self.update_stack().await;
                self.told(&tasks, done).await
            }
            Move::TakeOff(names) => {
                leave::take_off(self.d, self.lease, &self.cluster, &names).await?;
                Ok(Next::Again)
            }
            Move::Member(kind, name) => {
                heal::member(self.d, self.lease, &self.cluster, kind, &name).await?;
                Ok(Next::Again)
            }
            Move::Rebuild(ids) => {
                heal::rebuild(self.d, self.lease, &self.ctx, &self.cluster, &ids).await?;
                Ok(Next::Again)
            }
            Move::Undo(why) => {
                leave::undo(self.d, self.lease, &self.cluster, &tasks, &why).await?;
                Ok(Next::Done)
            }
            Move::GoBack(why) => {
                rollback::go_back(self.d, self.lease, &self.cluster, &tasks, &why).await?;
                Ok(Next::Again)
            }
            Move::DeleteStack => self.delete_stack(stack.as_ref()).await,
            Move::Purge => {
                self.forbid_stack().await?;
                let mut tx = self.d.db.begin().await?;
                tx.fence(self.lease).await?;
                let groups = nodegroup::table::of_cluster_tx(&mut tx, &self.cluster.uuid).await?;
                crate::notify::push(
                    &mut tx,
                    None,
                    "delete",
                    crate::notify::Outcome::Success,
                    &self.cluster,
                    &groups,
                )
                .await?;
                table::purge(&mut tx, &self.cluster.uuid).await?;
                tx.commit().await?;
                Ok(Next::Gone)
            }
            Move::Wait(why) => {
                if let Some(why) = why {
                    self.note(&self.cluster.status, &why).await?;
                }
                Ok(Next::After(GLANCE))
            }
            Move::WaitUntil(at, why) => {
                self.note(&self.cluster.status, &why).await?;
                let left = u64::try_from(at - now).unwrap_or(0);
                Ok(Next::After(Duration::from_micros(left)))
            }
            Move::Settle(outcome) => {
                settle::settle(self.d, self.lease, &self.cluster, stack.as_ref(), outcome).await?;
                // A server that was lost meanwhile is looked at now.
                Ok(Next::Again)
            }
        }
    }

    /// `None` only where the engine says that there is none.
    async fn stack(&self) -> Result<Option<Stack>> {
        let stacks = &self.d.orchestration.stacks;
        match stacks.show(&self.ctx, &self.cluster.stack_id).await {
            Ok(stack) => Ok(Some(stack)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Says in `status_reason` what is going on, where it has changed, and
    /// still what a rollback is for.
    async fn note(&self, status: &str, why: &str) -> Result<()> {
        let both = self.cluster.cause.as_ref();
        let both = both.map(|cause| format!("{cause} (rolling back: {why})"));
        let why = both.as_deref().unwrap_or(why);
        if self.cluster.status_reason.as_deref() == Some(why) && self.cluster.status == status {
            return Ok(());
        }
        let mut tx = self.d.db.begin().await?;
        tx.fence(self.lease).await?;
        table::finish(&mut tx, &self.cluster, status, Some(why)).await?;
        tx.commit().await
    }

    /// After the stack was told: what no retry mends ends the operation.
    async fn told(&self, tasks: &[Task], done: Result<Next>) -> Result<Next> {
        match done {
            Err(e) if e.is_transient() => Err(e),
            Err(e) if matches!(e.kind, Kind::Internal) && self.lease.attempts < TRIES => Err(e),
            Err(e) => {
                tracing::warn!(cluster = self.cluster.uuid, error = %e, "the stack was refused");
                let (d, lease, c) = (self.d, self.lease, &self.cluster);
                if rollback::asked(c) {
                    rollback::go_back(d, lease, c, tasks, &e.message).await?;
                } else {
                    settle::settle(d, lease, c, None, Err(e.message)).await?;
                }
                Ok(Next::Done)
            }
            ok => ok,
        }
    }

    async fn sent(&self) -> Result<()> {
        let mut tx = self.d.db.begin().await?;
        tx.fence(self.lease).await?;
        table::set_sent(&mut tx, &self.cluster.uuid, self.cluster.generation).await?;
        tx.commit().await
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
        let flavour = coe.flavour(coe.api_port(&template));
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
        self.sent().await?;
        Ok(Next::After(GLANCE))
    }

    /// Tells the stack the new sizes. Servers that stay keep their tokens, so
    /// their user data does not change. It never goes back by itself: see
    /// `rollback`.
    async fn update_stack(&self) -> Result<Next> {
        self.absolve().await?;
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
                self.sent().await?;
                Ok(Next::After(GLANCE))
            }
            // Another action of the stack has to end first; its end wakes us.
            Err(e) if matches!(e.kind, Kind::Conflict) => Ok(Next::After(Duration::from_secs(1))),
            Err(e) => Err(e),
        }
    }

    /// A creation of the stack that was sent before must not happen after the
    /// cluster is gone.
    async fn forbid_stack(&self) -> Result<()> {
        let stacks = &self.d.orchestration.stacks;
        match stacks.delete(&self.ctx, &self.cluster.stack_id).await {
            Err(e) if e.is_not_found() => Ok(()),
            // The creation was faster: the next run removes it.
            Ok(()) => Err(Error::unavailable("The stack of the cluster is back.")),
            Err(e) => Err(e),
        }
    }

    async fn delete_stack(&self, stack: Option<&Stack>) -> Result<Next> {
        let failed = stack.filter(|s| {
            s.status == Status::Failed && s.action == orchestration::face::Action::Delete
        });
        if let Some(stack) = failed
            && self.cluster.status != "DELETE_FAILED"
        {
            self.note("DELETE_FAILED", &stack.status_reason).await?;
            return Ok(Next::After(DELETE_RETRY));
        }
        let stacks = &self.d.orchestration.stacks;
        stacks.delete(&self.ctx, &self.cluster.stack_id).await?;
        let why = match failed {
            Some(s) => format!("Trying again after: {}", s.status_reason),
            None => "Waiting for the stack of the cluster to be removed.".to_owned(),
        };
        self.note("DELETE_IN_PROGRESS", &why).await?;
        Ok(Next::After(DELETE_RETRY))
    }

    /// What nodes told while the stack could not hear it.
    async fn repeat_signals(&self) -> Result<()> {
        for n in self
            .nodes
            .iter()
            .filter(|n| n.signal.is_some() && !n.signalled)
        {
            signal(self.d, &self.ctx, &self.cluster, n).await?;
        }
        Ok(())
    }

    /// A node that failed and leaves must not fail the wait condition again.
    async fn absolve(&self) -> Result<()> {
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
        tokens::of_stack(&self.d.sealer, n)
    }

    fn balancer(&self) -> Option<&Node> {
        self.nodes.iter().find(|n| n.is_balancer)
    }
}
