//! Notifications: CADF events in the outbox, written with the change.

use db::Tx;
use kernel::{Ctx, Event, Result, Timestamp, clock, ids};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::nodegroup::Group;

const ACCOUNT: &str = "service/security/account/user";
const CLUSTER: &str = "service/magnum/cluster";

/// Outcome of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Success,
    Failure,
}

/// Writes the event of one activity. `ctx` is the caller; without a caller the
/// project and the user of the cluster are used.
pub(crate) async fn push(
    tx: &mut Tx,
    ctx: Option<&Ctx>,
    action: &str,
    outcome: Outcome,
    cluster: &Cluster,
    groups: &[Group],
) -> Result<()> {
    let payload = payload(ctx, action, outcome, cluster, groups);
    db::outbox_push(
        tx,
        &Event {
            event_type: format!("magnum.cluster.{action}"),
            project_id: Some(cluster.project_id.clone()),
            payload,
        },
    )
    .await
}

fn payload(
    ctx: Option<&Ctx>,
    action: &str,
    outcome: Outcome,
    c: &Cluster,
    groups: &[Group],
) -> Value {
    let outcome = match outcome {
        Outcome::Pending => "pending",
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    };
    let (user, project) = match ctx {
        Some(ctx) => (&ctx.user_id, ctx.project_id().unwrap_or(&c.project_id)),
        None => (&c.user_id, &c.project_id),
    };
    let sum = |master: bool| -> i64 {
        groups
            .iter()
            .filter(|g| g.is_master() == master)
            .map(|g| g.node_count)
            .sum()
    };
    let addresses = |master: bool| -> Vec<&String> {
        groups
            .iter()
            .filter(|g| g.is_master() == master)
            .flat_map(|g| &g.node_addresses)
            .collect()
    };
    json!({
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
        "eventType": "activity",
        "id": ids::uuid(),
        "eventTime": clock::now().iso_micros_z().replace('Z', "+0000"),
        "action": action,
        "outcome": outcome,
        "observer": { "id": ids::uuid(), "typeURI": CLUSTER },
        "initiator": { "id": ids::uuid(), "typeURI": ACCOUNT, "user_id": user, "project_id": project },
        "target": { "id": c.uuid, "typeURI": CLUSTER, "name": c.name, "attachments": [{
            "typeURI": CLUSTER, "name": "cluster_data", "content": {
                "status": c.status, "status_reason": c.status_reason, "project_id": c.project_id,
                "created_at": c.created_at.iso_z(),
                "updated_at": c.updated_at.map(Timestamp::iso_z),
                "cluster_template_id": c.cluster_template_id, "keypair": c.keypair,
                // The real service writes this colon, and consumers of its
                // events expect it.
                "docker_volume_size:": c.docker_volume_size,
                "docker_volume_size": c.docker_volume_size,
                "labels": c.labels, "master_flavor_id": c.master_flavor_id,
                "flavor_id": c.flavor_id, "stack_id": c.stack_id,
                "health_status": c.health_status, "create_timeout": c.create_timeout,
                "api_address": c.api_address, "discovery_url": c.discovery_url,
                "node_addresses": addresses(false), "master_addresses": addresses(true),
                "node_count": sum(false), "master_count": sum(true),
            } }] },
    })
}
