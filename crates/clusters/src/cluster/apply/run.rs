//! One run of the reconciler for one cluster: what was loaded, and its lease.

use std::time::Duration;

use db::Lease;
use kernel::{Ctx, Result, Timestamp};
use orchestration::api::Stack;

use crate::ClustersDeps;
use crate::cluster::model::Cluster;
use crate::cluster::plan::status::{Progress, of_cluster};
use crate::cluster::plan::{Desired, NodeFailure, Observed};
use crate::cluster::table;
use crate::coe::Coe;
use crate::node::{Node, Task};

/// Resync interval while an event is awaited.
pub(super) const RESYNC_INTERVAL: Duration = Duration::from_secs(15);

pub(crate) struct Run<'a> {
    pub(crate) d: &'a ClustersDeps,
    pub(crate) lease: &'a Lease,
    pub(crate) ctx: Ctx,
    pub(crate) coe: Coe,
    pub(crate) cluster: Cluster,
    pub(crate) nodes: Vec<Node>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) stack: Option<Stack>,
    pub(crate) failures: Vec<NodeFailure>,
    pub(crate) now: Timestamp,
}

impl Run<'_> {
    pub(crate) fn desired(&self) -> Desired<'_> {
        Desired {
            coe: self.coe,
            cluster: &self.cluster,
            nodes: &self.nodes,
        }
    }

    pub(crate) fn observed(&self) -> Observed<'_> {
        Observed {
            tasks: &self.tasks,
            stack: self.stack.as_ref(),
            failures: &self.failures,
            now: self.now,
        }
    }

    pub(super) fn balancer(&self) -> Option<&Node> {
        self.nodes.iter().find(|n| n.is_balancer)
    }

    /// Stores how far the operation is, unless that is stored already.
    pub(super) async fn report(&self, progress: Progress<'_>) -> Result<()> {
        let c = &self.cluster;
        let (status, reason) = of_cluster(c, progress);
        if c.status_reason == reason && c.status == status.into() {
            return Ok(());
        }
        db::fenced!(self.d.db, self.lease, |tx| {
            table::set_status(tx, c, status, reason.as_deref()).await
        })
        .map(|_| ())
    }

    /// Records that the desired state of this generation was sent to the stack.
    pub(super) async fn mark_generation_sent(&self) -> Result<()> {
        let c = &self.cluster;
        db::fenced!(self.d.db, self.lease, |tx| {
            table::set_sent(tx, &c.uuid, c.generation).await
        })
    }

    pub(super) fn timeout_mins(&self) -> Option<i64> {
        Some(self.cluster.create_timeout).filter(|minutes| *minutes > 0)
    }
}
