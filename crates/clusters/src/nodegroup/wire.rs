//! Bodies of node groups.

use kernel::clock::iso_offset;
use serde_json::{Value, json};

use super::Group;
use crate::cluster::Cluster;
use crate::cluster::model::compare_labels;
use crate::links;

/// An item of the list, with the actual bounds.
pub(crate) fn item(g: &Group, c: &Cluster) -> Value {
    json!({
        "uuid": g.uuid, "name": g.name, "flavor_id": g.flavor_id, "image_id": g.image_id,
        "node_count": g.node_count, "role": g.role, "min_node_count": g.min_node_count,
        "max_node_count": g.max_node_count, "is_default": true, "stack_id": c.stack_id,
        "status": g.status, "merge_labels": false,
    })
}

/// The full object.
pub(crate) fn full(g: &Group, c: &Cluster, base: &str) -> Value {
    let [overridden, added, skipped] = compare_labels(&g.labels, &c.labels);
    let path = format!("clusters/{}/nodegroups/{}", c.uuid, g.uuid);
    json!({
        "id": g.id, "uuid": g.uuid, "name": g.name, "cluster_id": g.cluster_id,
        "project_id": g.project_id, "docker_volume_size": g.docker_volume_size,
        "labels": g.labels, "links": links::links(base, &path), "flavor_id": g.flavor_id,
        "image_id": g.image_id, "node_addresses": g.node_addresses,
        "node_count": g.node_count, "role": g.role, "min_node_count": g.min_node_count,
        "max_node_count": g.max_node_count, "is_default": true, "stack_id": c.stack_id,
        "status": g.status, "status_reason": g.status_reason, "version": null,
        "merge_labels": false, "labels_overridden": overridden, "labels_added": added,
        "labels_skipped": skipped, "node_labels": {}, "node_taints": [],
        "created_at": iso_offset(g.created_at), "updated_at": g.updated_at.map(iso_offset),
    })
}
