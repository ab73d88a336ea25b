//! Bodies of clusters.

use kernel::clock::iso_offset;
use serde_json::{Map, Value, json};

use super::model::{Cluster, compare_labels};
use super::ops::View;
use crate::links;

/// From this minor version on `cluster_id` replaces `stack_id`.
const CLUSTER_ID: u16 = 13;

fn size(v: &View, master: bool) -> i64 {
    v.groups
        .iter()
        .filter(|g| g.is_master() == master)
        .map(|g| g.node_count)
        .sum()
}

fn addresses(v: &View, master: bool) -> Vec<&String> {
    v.groups
        .iter()
        .filter(|g| g.is_master() == master)
        .flat_map(|g| &g.node_addresses)
        .collect()
}

/// The fields that list items and full objects begin with.
fn head(v: &View, base: &str, minor: u16) -> Map<String, Value> {
    let c = &v.cluster;
    let mut map = object(json!({
        "uuid": c.uuid, "name": c.name, "cluster_template_id": c.cluster_template_id,
        "keypair": c.keypair, "node_count": size(v, false), "master_count": size(v, true),
        "docker_volume_size": c.docker_volume_size, "labels": c.labels,
        "master_flavor_id": c.master_flavor_id, "flavor_id": c.flavor_id,
        "create_timeout": c.create_timeout,
        "links": links::links(base, &format!("clusters/{}", c.uuid)),
    }));
    let key = if minor >= CLUSTER_ID {
        "cluster_id"
    } else {
        "stack_id"
    };
    map.insert(key.into(), json!(c.stack_id));
    map.insert("status".into(), json!(c.status));
    map
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An item of the short list.
pub(crate) fn item(v: &View, base: &str, minor: u16) -> Value {
    let mut map = head(v, base, minor);
    map.insert("health_status".into(), json!(v.cluster.health_status));
    map.insert("merge_labels".into(), json!(false));
    Value::Object(map)
}

/// The full object. `one`: for GET of a single cluster, which includes faults.
pub(crate) fn full(v: &View, base: &str, minor: u16, one: bool) -> Value {
    let c = &v.cluster;
    let [overridden, added, skipped] = compare_labels(&c.labels, &v.template_labels);
    let mut map = head(v, base, minor);
    map.extend(object(json!({
        "status_reason": c.status_reason, "health_status": c.health_status,
        "health_status_reason": c.health_status_reason, "discovery_url": c.discovery_url,
        "api_address": c.api_address, "coe_version": c.coe_version,
        "container_version": c.container_version, "project_id": c.project_id,
        "user_id": c.user_id, "node_addresses": addresses(v, false),
        "master_addresses": addresses(v, true),
    })));
    if one && c.failed() {
        map.insert("faults".into(), faults(v));
    }
    map.extend(object(json!({
        "fixed_network": c.fixed_network, "fixed_subnet": c.fixed_subnet,
        "floating_ip_enabled": c.floating_ip_enabled, "merge_labels": false,
        "labels_overridden": overridden, "labels_added": added, "labels_skipped": skipped,
        "master_lb_enabled": c.master_lb_enabled, "created_at": iso_offset(c.created_at),
        "updated_at": c.updated_at.map(iso_offset),
        // Not a field of Magnum; its clients ignore fields that they do not know.
        "isolation": c.isolation,
    })));
    Value::Object(map)
}

fn faults(v: &View) -> Value {
    let failed = v
        .groups
        .iter()
        .filter(|g| g.status.ends_with("FAILED"))
        .map(|g| (g.name.clone(), json!(g.status_reason)))
        .collect::<Map<_, _>>();
    Value::Object(failed)
}

/// Every attribute that a patch may name.
pub(crate) fn patchable(v: &View) -> Value {
    let c = &v.cluster;
    json!({
        "name": c.name, "cluster_template_id": c.cluster_template_id, "keypair": c.keypair,
        "node_count": size(v, false), "master_count": size(v, true),
        "docker_volume_size": c.docker_volume_size, "labels": c.labels,
        "master_flavor_id": c.master_flavor_id, "flavor_id": c.flavor_id,
        "create_timeout": c.create_timeout, "status": c.status,
        "status_reason": c.status_reason, "health_status": c.health_status,
        "health_status_reason": c.health_status_reason, "discovery_url": c.discovery_url,
        "coe_version": c.coe_version, "container_version": c.container_version,
        "fixed_network": c.fixed_network, "fixed_subnet": c.fixed_subnet,
        "floating_ip_enabled": c.floating_ip_enabled, "merge_labels": false,
        "master_lb_enabled": c.master_lb_enabled,
    })
}

/// Answer to an accepted operation.
pub(crate) fn accepted(uuid: &str) -> Value {
    json!({ "uuid": uuid })
}

/// For the policy of our own progress page.
pub(crate) fn brief(c: &Cluster) -> Map<String, Value> {
    object(json!({ "uuid": c.uuid, "name": c.name, "status": c.status,
        "status_reason": c.status_reason, "api_address": c.api_address,
        "isolation": c.isolation }))
}
