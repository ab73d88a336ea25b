//! Ends an operation: outputs, addresses, statuses and the event, in one
//! transaction under the lease.

use kernel::Result;
use orchestration::api::Stack;

use super::run::Run;
use crate::cluster::plan::settle::settle as plan;
use crate::cluster::table;
use crate::coe::{Coe, swarm};
use crate::node::{self, NodeEvent};
use crate::notify::{self, Outcome};
use crate::{kube, nodegroup};

/// Writes the end of the current operation, unless a newer one has started.
pub(super) async fn settle(
    run: &Run<'_>,
    stack: Option<&Stack>,
    outcome: Result<(), &str>,
) -> Result<()> {
    let (d, c) = (run.d, &run.cluster);
    let port = match run.coe {
        Coe::Swarm => swarm::API_PORT,
        Coe::Kubernetes => {
            let kube = kube::table::load(&d.db, &c.uuid).await?;
            kube.networks.api_port
        }
    };
    db::fenced!(d.db, run.lease, |tx| {
        let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
        let nodes = node::table::of_cluster_tx(tx, &c.uuid).await?;
        let outputs = stack.map(|s| &s.outputs);
        let end = plan((run.coe, port), c, (&groups, &nodes), outputs, outcome);
        if !table::set_status(tx, c, end.status, end.reason.as_deref()).await? {
            // A newer operation has started and will end separately.
            return Ok(());
        }
        for (group, status, reason) in &end.groups {
            nodegroup::table::finish(tx, group, *status, reason.as_deref()).await?;
        }
        for n in nodes.iter().filter(|n| end.removed.contains(&n.id)) {
            let mut gone = n.clone();
            gone.status = n.status.after(NodeEvent::Removed);
            node::table::set_observed_status(tx, &gone).await?;
        }
        let mut after = c.clone();
        if let Some(address) = &end.api_address {
            after.api_address.clone_from(address);
            table::set_address(tx, &c.uuid, address.as_deref()).await?;
        }
        let notified_outcome = if outcome.is_ok() {
            node::table::drop_tasks(tx, &c.uuid, c.generation).await?;
            Outcome::Success
        } else {
            Outcome::Failure
        };
        after.status = end.status.into();
        after.status_reason = end.reason;
        let groups: Vec<_> = end.groups.into_iter().map(|(group, ..)| group).collect();
        let action = c.intent.activity();
        notify::push(tx, None, action, notified_outcome, &after, &groups).await
    })
}
