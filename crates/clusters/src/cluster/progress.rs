//! Progress of a cluster in our native API: every node, step and resource.

use kernel::{Ctx, Result, clock};
use nodewire::Observed;
use serde_json::{Value, json};

use super::{ops, wire};
use crate::ClustersDeps;
use crate::node::table::Shown;
use crate::node::{self, NodeStatus};

/// Returns status, nodes with their steps, the resources of the stack, and the
/// requested add-ons.
pub(crate) async fn show(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<Value> {
    let c = ops::find(d, ctx, key, "cluster:get_one_all_projects").await?;
    d.enforcer.check("cluster:get", ctx, &ops::target(&c))?;
    let nodes = node::table::shown(&d.db, &c.uuid).await?;
    let inside = Ctx::for_project(&ctx.request_id, &c.project_id);
    let resources = match d.orchestration.stacks.resources(&inside, &c.stack_id).await {
        Ok(all) => all,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return Err(e),
    };
    let mut body = wire::brief(&c);
    let shown: Vec<Value> = nodes
        .iter()
        .filter(|n| n.status != NodeStatus::Removed.as_stored())
        .map(node_body)
        .collect();
    body.insert("nodes".into(), Value::Array(shown));
    let listed: Vec<Value> = resources
        .iter()
        .map(|r| {
            json!({ "name": r.name, "parent": r.parent, "type": r.resource_type,
                "action": r.action, "status": r.status, "status_reason": r.status_reason })
        })
        .collect();
    body.insert("resources".into(), Value::Array(listed));
    // The last report of the masters; `{}` before the first report.
    let observed = node::table::swarm(&d.db, &c.uuid).await?.observed;
    let seen: Option<Observed> = serde_json::from_str(&observed).ok();
    let addons = seen.map(|s| s.addons).unwrap_or_default();
    body.insert("addons".into(), json!(addons));
    Ok(Value::Object(body))
}

pub(crate) fn node_body(n: &Shown) -> Value {
    let steps: Vec<Value> = n
        .steps
        .0
        .iter()
        .map(|s| {
            json!({ "name": s.name, "status": s.status, "at": clock::iso_micros_z(s.started_micros),
                "log": s.log, "ms": s.at_micros.saturating_sub(s.started_micros) / 1000 })
        })
        .collect();
    json!({ "name": n.name, "role": node::model::role(n.is_master, n.is_balancer), "status": n.status,
        "addresses": n.addresses.0, "steps": steps })
}
