//! A node group as stored.

use std::collections::BTreeMap;

/// Names of the two groups that every cluster has.
pub(crate) const MASTER: &str = "default-master";
pub(crate) const WORKER: &str = "default-worker";
/// The role of a group of masters.
pub(crate) const MASTER_ROLE: &str = "master";

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    /// Number within the cluster.
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) cluster_id: String,
    pub(crate) project_id: String,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) flavor_id: Option<String>,
    pub(crate) image_id: String,
    pub(crate) node_addresses: Vec<String>,
    pub(crate) node_count: i64,
    pub(crate) role: String,
    pub(crate) min_node_count: i64,
    pub(crate) max_node_count: Option<i64>,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    /// The index of the next new node; indices are never reused.
    pub(crate) next_index: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: Option<i64>,
}

impl Group {
    pub(crate) fn is_master(&self) -> bool {
        self.role == MASTER_ROLE
    }

    /// Part of the names of its nodes.
    pub(crate) fn name_part(&self) -> &'static str {
        if self.is_master() { "master" } else { "node" }
    }
}
