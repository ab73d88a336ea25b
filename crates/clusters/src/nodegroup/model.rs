//! A node group as stored.

use std::collections::BTreeMap;

use kernel::{ProjectId, Timestamp};

use crate::status::{Phase, StoredStatus};
use crate::{ClusterId, GroupId};

/// Maximum number of nodes of a group.
pub(crate) const MAX_NODES: i64 = 1000;
/// The role of a group of masters.
pub(crate) const MASTER_ROLE: &str = "master";

/// Numbers of the groups that a cluster is created with.
const CREATED: std::ops::RangeInclusive<i64> = 1..=2;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    /// Number within the cluster.
    pub(crate) id: i64,
    pub(crate) uuid: GroupId,
    pub(crate) name: String,
    pub(crate) cluster_id: ClusterId,
    pub(crate) project_id: ProjectId,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) flavor_id: Option<String>,
    pub(crate) image_id: String,
    pub(crate) node_addresses: Vec<String>,
    pub(crate) node_count: i64,
    pub(crate) role: String,
    pub(crate) min_node_count: i64,
    pub(crate) max_node_count: Option<i64>,
    pub(crate) status: StoredStatus,
    pub(crate) status_reason: Option<String>,
    /// The index of the next new node; indices are never reused.
    pub(crate) next_index: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
}

impl Group {
    pub(crate) fn is_master(&self) -> bool {
        self.role == MASTER_ROLE
    }

    pub(crate) fn failed(&self) -> bool {
        self.status.is_in(Phase::Failed)
    }

    /// Part of the names of its nodes and of the parameters of the stack.
    /// The groups that a cluster was created with have no number in it, as in the
    /// stacks of existing clusters.
    pub(crate) fn name_part(&self) -> String {
        let word = if self.is_master() { "master" } else { "node" };
        self.numbered(word)
    }

    /// Name of its resource in the stack.
    pub(crate) fn resource(&self) -> String {
        let resource = if self.is_master() {
            "masters"
        } else {
            "workers"
        };
        self.numbered(resource)
    }

    /// Name of the parameter of the stack with its image.
    pub(crate) fn image_parameter(&self) -> String {
        if CREATED.contains(&self.id) {
            "image".to_owned()
        } else {
            format!("{}_image", self.name_part())
        }
    }

    fn numbered(&self, word: &str) -> String {
        if CREATED.contains(&self.id) {
            word.to_owned()
        } else {
            format!("{word}{}", self.id)
        }
    }
}
