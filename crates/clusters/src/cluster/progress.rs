//! Progress of a cluster in our native API: every node, step and resource.

use kernel::{Ctx, Result};
use nodewire::Observed;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Cluster;
use crate::authorized::Authorized;
use crate::node::table::Shown;
use crate::node::{self, NodeStatus};
use crate::{ClustersDeps, certificate};

/// Status, nodes with their steps, the resources of the stack, and the
/// requested add-ons.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClusterProgress")]
pub(crate) struct Progress {
    uuid: String,
    name: String,
    status: String,
    status_reason: Option<String>,
    api_address: Option<String>,
    isolation: String,
    nodes: Vec<NodeProgress>,
    resources: Vec<ResourceProgress>,
    /// As the masters have reported them last.
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    addons: Vec<nodewire::Addon>,
    authorities: Vec<AuthorityProgress>,
}

/// A CA of the cluster.
#[derive(Serialize, JsonSchema)]
struct AuthorityProgress {
    name: String,
    expires: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct NodeProgress {
    name: String,
    role: &'static str,
    status: String,
    addresses: Vec<String>,
    steps: Vec<StepProgress>,
}

#[derive(Serialize, JsonSchema)]
struct StepProgress {
    name: String,
    status: String,
    at: String,
    log: String,
    /// Since the step started.
    ms: i64,
}

#[derive(Serialize, JsonSchema)]
struct ResourceProgress {
    name: String,
    parent: Option<String>,
    #[serde(rename = "type")]
    resource_type: String,
    #[schemars(with = "String")]
    action: orchestration::api::Action,
    #[schemars(with = "String")]
    status: orchestration::api::Status,
    status_reason: String,
}

pub(crate) async fn show(d: &ClustersDeps, ctx: &Ctx, c: &Authorized<Cluster>) -> Result<Progress> {
    let nodes = node::table::shown(&d.db, &c.uuid).await?;
    let inside = Ctx::for_project(&ctx.request_id, &c.project_id);
    let resources = match d.orchestration.stacks.resources(&inside, &c.stack_id).await {
        Ok(all) => all,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return Err(e),
    };
    let resources = resources.into_iter().map(|r| ResourceProgress {
        name: r.name,
        parent: r.parent,
        resource_type: r.resource_type,
        action: r.action,
        status: r.status,
        status_reason: r.status_reason,
    });
    // `{}` before the first report.
    let observed = node::table::swarm(&d.db, &c.uuid).await?.observed;
    let seen: Option<Observed> = serde_json::from_str(&observed).ok();
    let ends = certificate::authorities::expirations(d, c).await?;
    let ends = ends.into_iter().map(|(name, at)| AuthorityProgress {
        name: name.to_string(),
        expires: at.iso_z(),
    });
    let removed = NodeStatus::Removed.as_stored();
    let nodes = nodes.into_iter().filter(|n| n.status != removed);
    Ok(Progress {
        uuid: c.uuid.to_string(),
        name: c.name.clone(),
        status: c.status.to_string(),
        status_reason: c.status_reason.clone(),
        api_address: c.api_address.clone(),
        isolation: c.isolation.clone(),
        nodes: nodes.map(node_progress).collect(),
        resources: resources.collect(),
        addons: seen.map(|s| s.addons).unwrap_or_default(),
        authorities: ends.collect(),
    })
}

pub(crate) fn node_progress(n: Shown) -> NodeProgress {
    let steps = n.steps.0.into_iter().map(|s| StepProgress {
        name: s.name,
        status: s.status,
        at: s.started_at.iso_micros_z(),
        log: s.log,
        ms: s
            .reported_at
            .since(s.started_at)
            .as_millis()
            .try_into()
            .unwrap_or(i64::MAX),
    });
    NodeProgress {
        name: n.name,
        role: node::model::role(n.is_master, n.is_balancer),
        status: n.status,
        addresses: n.addresses.0,
        steps: steps.collect(),
    }
}
