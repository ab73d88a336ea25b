//! Bodies of clusters.

use std::collections::BTreeMap;
use std::sync::Arc;

use rest::RequestBody;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::model::Cluster;
use super::shown_table::{FullRow, ShortRow};
use super::view::{Comparison, Nodes, View};
use crate::fields::{BodySpec, Fields, Kind, optional, required};
use crate::links::Links;
use crate::nodegroup::MAX_NODES;
use crate::status::StoredStatus;
use crate::wire::{StoredObject, Time};

/// From this minor version on `cluster_id` replaces `stack_id`.
const CLUSTER_ID: u16 = 13;

/// A page of the short list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClusterList {
    pub(crate) clusters: Vec<ClusterItem>,
    /// The link to the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A page of the list of full objects.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClusterDetailList {
    pub(crate) clusters: Vec<ClusterBody>,
    /// The link to the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// The fields that list items and full objects begin with.
#[derive(Serialize, JsonSchema)]
struct Head {
    uuid: String,
    name: String,
    cluster_template_id: String,
    keypair: Option<String>,
    /// Workers.
    node_count: i64,
    master_count: i64,
    docker_volume_size: Option<i64>,
    labels: StoredObject,
    master_flavor_id: Option<String>,
    flavor_id: Option<String>,
    /// Minutes; 0 means no limit.
    create_timeout: i64,
    links: Links,
    /// Up to version 1.12.
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_id: Option<String>,
    /// The stack, from version 1.13 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    #[schemars(with = "String")]
    status: StoredStatus,
}

/// An item of the short list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClusterItem {
    #[serde(flatten)]
    head: Head,
    health_status: Option<String>,
    merge_labels: bool,
}

/// The full object.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cluster")]
pub(crate) struct ClusterBody {
    #[serde(flatten)]
    head: Head,
    status_reason: Option<String>,
    health_status: Option<String>,
    health_status_reason: StoredObject,
    discovery_url: Option<String>,
    api_address: Option<String>,
    coe_version: Option<String>,
    container_version: Option<String>,
    project_id: String,
    user_id: String,
    node_addresses: Vec<String>,
    master_addresses: Vec<String>,
    /// Reasons by node group; only for GET of a single cluster that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<BTreeMap<String, Option<String>>>,
    fixed_network: Option<String>,
    fixed_subnet: Option<String>,
    floating_ip_enabled: bool,
    merge_labels: bool,
    labels_overridden: BTreeMap<String, String>,
    labels_added: BTreeMap<String, String>,
    labels_skipped: BTreeMap<String, String>,
    master_lb_enabled: bool,
    created_at: Time,
    updated_at: Option<Time>,
    /// Not a field of Magnum; its clients ignore fields that they do not know.
    isolation: String,
}

/// Chooses the fields that depend on the minor version. Also returns the health,
/// which has a different position in the two kinds of objects.
fn head(row: ShortRow, nodes: &Nodes, base: &Arc<str>, minor: u16) -> (Head, Option<String>) {
    let links = Links::new(base, format!("clusters/{}", row.uuid));
    let (stack_id, cluster_id) = if minor >= CLUSTER_ID {
        (None, Some(row.stack_id.into()))
    } else {
        (Some(row.stack_id.into()), None)
    };
    let head = Head {
        uuid: row.uuid.into(),
        name: row.name,
        cluster_template_id: row.cluster_template_id.into(),
        keypair: row.keypair,
        node_count: nodes.workers,
        master_count: nodes.masters,
        docker_volume_size: row.docker_volume_size,
        labels: row.labels,
        master_flavor_id: row.master_flavor_id,
        flavor_id: row.flavor_id,
        create_timeout: row.create_timeout,
        links,
        stack_id,
        cluster_id,
        status: row.status,
    };
    (head, row.health_status)
}

impl ClusterItem {
    pub(crate) fn new(row: ShortRow, nodes: &Nodes, base: &Arc<str>, minor: u16) -> Self {
        let (head, health_status) = head(row, nodes, base, minor);
        Self {
            head,
            health_status,
            merge_labels: false,
        }
    }
}

impl ClusterBody {
    pub(crate) fn new(shown: View, base: &Arc<str>, minor: u16) -> Self {
        let View {
            row: FullRow { short, rest },
            nodes,
            labels:
                Comparison {
                    overridden,
                    added,
                    skipped,
                },
        } = shown;
        let (head, health_status) = head(short, &nodes, base, minor);
        Self {
            head,
            status_reason: rest.status_reason,
            health_status,
            health_status_reason: rest.health_status_reason,
            discovery_url: rest.discovery_url,
            api_address: rest.api_address,
            coe_version: rest.coe_version,
            container_version: rest.container_version,
            project_id: rest.project_id.into(),
            user_id: rest.user_id.into(),
            node_addresses: nodes.worker_addresses,
            master_addresses: nodes.master_addresses,
            faults: nodes.faults,
            fixed_network: rest.fixed_network,
            fixed_subnet: rest.fixed_subnet,
            floating_ip_enabled: rest.floating_ip_enabled,
            merge_labels: false,
            labels_overridden: overridden,
            labels_added: added,
            labels_skipped: skipped,
            master_lb_enabled: rest.master_lb_enabled,
            created_at: Time(rest.created_at),
            updated_at: rest.updated_at.map(Time),
            isolation: rest.isolation,
        }
    }
}

/// Every attribute that a patch may name.
pub(crate) fn patchable(c: &Cluster, workers: i64, masters: i64) -> Value {
    json!({
        "name": c.name, "cluster_template_id": c.cluster_template_id, "keypair": c.keypair,
        "node_count": workers, "master_count": masters,
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

/// The body of `POST actions/resize`.
pub(crate) struct ResizeBody {
    pub(crate) count: i64,
    /// Names, ids, indices or addresses of nodes.
    pub(crate) leave: Vec<String>,
    /// Name or id.
    pub(crate) group: Option<String>,
}

const RESIZE: BodySpec = BodySpec {
    argument: "cluster_resize_req",
    fields: &[
        required("node_count", Kind::Int(0, MAX_NODES)),
        optional("nodes_to_remove", Kind::Texts),
        optional("nodegroup", Kind::Text(1, 255)),
    ],
    read_only: &[],
    ignored: &[],
};

impl RequestBody for ResizeBody {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(RESIZE.schema())
    }

    fn read(body: Option<Value>) -> kernel::Result<Self> {
        let f = Fields::new(&RESIZE, body)?;
        Ok(Self {
            count: f.need_int("node_count")?,
            leave: f.texts("nodes_to_remove")?,
            group: f.text("nodegroup")?,
        })
    }
}

/// The body of `POST actions/upgrade`, which is only checked.
pub(crate) struct UpgradeBody;

const UPGRADE: BodySpec = BodySpec {
    argument: "cluster_upgrade_req",
    fields: &[
        required("cluster_template", Kind::Text(1, 255)),
        optional("max_batch_size", Kind::Int(1, 1000)),
        // Not read: no driver supports upgrades.
        optional("nodegroup", Kind::Text(0, 255)),
    ],
    read_only: &[],
    ignored: &[],
};

impl RequestBody for UpgradeBody {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(UPGRADE.schema())
    }

    fn read(body: Option<Value>) -> kernel::Result<Self> {
        let f = Fields::new(&UPGRADE, body)?;
        f.need_text("cluster_template")?;
        f.int("max_batch_size")?;
        Ok(Self)
    }
}
