//! Bodies of node groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Group;
use crate::cluster::Cluster;
use crate::cluster::model::compare_labels;
use crate::links::Links;
use crate::wire::Time;

/// A page of the list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NodegroupList {
    pub(crate) nodegroups: Vec<NodegroupItem>,
    /// The link to the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// An item of the list, with the actual bounds.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NodegroupItem {
    uuid: String,
    name: String,
    flavor_id: Option<String>,
    image_id: String,
    node_count: i64,
    role: String,
    min_node_count: i64,
    max_node_count: Option<i64>,
    is_default: bool,
    stack_id: String,
    status: String,
    merge_labels: bool,
}

impl NodegroupItem {
    pub(crate) fn new(g: Group, c: &Cluster) -> Self {
        Self {
            uuid: g.uuid.into(),
            name: g.name,
            flavor_id: g.flavor_id,
            image_id: g.image_id,
            node_count: g.node_count,
            role: g.role,
            min_node_count: g.min_node_count,
            max_node_count: g.max_node_count,
            is_default: true,
            stack_id: c.stack_id.to_string(),
            status: g.status.to_string(),
            merge_labels: false,
        }
    }
}

/// The full object.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Nodegroup")]
pub(crate) struct NodegroupBody {
    /// Number within the cluster.
    id: i64,
    uuid: String,
    name: String,
    cluster_id: String,
    project_id: String,
    docker_volume_size: Option<i64>,
    labels: BTreeMap<String, String>,
    links: Links,
    flavor_id: Option<String>,
    image_id: String,
    node_addresses: Vec<String>,
    node_count: i64,
    role: String,
    min_node_count: i64,
    max_node_count: Option<i64>,
    is_default: bool,
    stack_id: String,
    status: String,
    status_reason: Option<String>,
    /// Always null.
    version: Option<String>,
    merge_labels: bool,
    labels_overridden: BTreeMap<String, String>,
    labels_added: BTreeMap<String, String>,
    labels_skipped: BTreeMap<String, String>,
    /// Always empty.
    node_labels: BTreeMap<String, String>,
    /// Always empty.
    node_taints: Vec<String>,
    created_at: Time,
    updated_at: Option<Time>,
}

impl NodegroupBody {
    pub(crate) fn new(g: Group, c: &Cluster, base: &Arc<str>) -> Self {
        let [overridden, added, skipped] = compare_labels(&g.labels, &c.labels);
        let path = format!("clusters/{}/nodegroups/{}", c.uuid, g.uuid);
        Self {
            id: g.id,
            uuid: g.uuid.into(),
            name: g.name,
            cluster_id: g.cluster_id.into(),
            project_id: g.project_id.into(),
            docker_volume_size: g.docker_volume_size,
            labels: g.labels,
            links: Links::new(base, path),
            flavor_id: g.flavor_id,
            image_id: g.image_id,
            node_addresses: g.node_addresses,
            node_count: g.node_count,
            role: g.role,
            min_node_count: g.min_node_count,
            max_node_count: g.max_node_count,
            is_default: true,
            stack_id: c.stack_id.to_string(),
            status: g.status.to_string(),
            status_reason: g.status_reason,
            version: None,
            merge_labels: false,
            labels_overridden: overridden,
            labels_added: added,
            labels_skipped: skipped,
            node_labels: BTreeMap::new(),
            node_taints: Vec::new(),
            created_at: Time(g.created_at),
            updated_at: g.updated_at.map(Time),
        }
    }
}
