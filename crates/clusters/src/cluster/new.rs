//! The body of a request for a new cluster, and the rules of its fields.

use std::collections::BTreeMap;

use kernel::Result;
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::errors::{bad_request, invalid_field};
use crate::fields::{BodySpec, Fields, Kind, optional, required};
use crate::nodegroup::MAX_NODES;
use crate::template::Template;

/// The body of a POST before defaults from the template are applied.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewCluster {
    pub(crate) name: Option<String>,
    pub(crate) template: String,
    pub(crate) keypair: Option<String>,
    pub(crate) node_count: i64,
    pub(crate) master_count: i64,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) merge_labels: bool,
    pub(crate) master_flavor_id: Option<String>,
    pub(crate) flavor_id: Option<String>,
    pub(crate) create_timeout: i64,
    pub(crate) discovery_url: Option<String>,
    pub(crate) fixed_network: Option<String>,
    pub(crate) fixed_subnet: Option<String>,
    pub(crate) floating_ip_enabled: Option<bool>,
    pub(crate) master_lb_enabled: Option<bool>,
}

/// The kind of most text fields.
const SHORT: Kind = Kind::Text(1, 255);

/// The body of a POST.
const BODY: BodySpec = BodySpec {
    argument: "cluster",
    fields: &[
        optional("name", Kind::Pattern("^([a-zA-Z][a-zA-Z0-9_.-]*)?$", 242)),
        required("cluster_template_id", SHORT),
        optional("keypair", SHORT),
        optional("node_count", Kind::Int(0, MAX_NODES)),
        optional("master_count", Kind::Int(1, MAX_NODES)),
        optional("docker_volume_size", Kind::Int(1, i32::MAX as i64)),
        optional("labels", Kind::Labels),
        optional("merge_labels", Kind::Flag),
        optional("master_flavor_id", SHORT),
        optional("flavor_id", SHORT),
        optional("create_timeout", Kind::Int(0, i32::MAX as i64)),
        optional("discovery_url", Kind::Text(0, 255)),
        optional("fixed_network", SHORT),
        optional("fixed_subnet", SHORT),
        optional("floating_ip_enabled", Kind::Flag),
        optional("master_lb_enabled", Kind::Flag),
    ],
    read_only: &[
        "stack_id",
        "cluster_id",
        "api_address",
        "coe_version",
        "container_version",
        "node_addresses",
        "master_addresses",
        "links",
        "project_id",
        "user_id",
        "faults",
        "labels_overridden",
        "labels_added",
        "labels_skipped",
        "created_at",
        "updated_at",
    ],
    ignored: &[
        "uuid",
        "status",
        "status_reason",
        "health_status",
        "health_status_reason",
    ],
};

impl RequestBody for NewCluster {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(BODY.schema())
    }

    fn read(body: Option<Value>) -> Result<Self> {
        Self::from_body(body)
    }
}

impl NewCluster {
    fn from_body(body: Option<Value>) -> Result<Self> {
        let f = Fields::new(&BODY, body)?;
        let name = f.text("name")?.filter(|n| !n.is_empty());
        if let Some(name) = &name {
            check_name(name)?;
        }
        Ok(Self {
            name,
            template: f.need_text("cluster_template_id")?,
            keypair: f.text("keypair")?,
            node_count: f.int("node_count")?.unwrap_or(1),
            master_count: f.int("master_count")?.unwrap_or(1),
            docker_volume_size: f.int("docker_volume_size")?,
            labels: f.labels("labels")?,
            merge_labels: f.flag("merge_labels")?.unwrap_or(false),
            master_flavor_id: f.text("master_flavor_id")?,
            flavor_id: f.text("flavor_id")?,
            create_timeout: f.int("create_timeout")?.unwrap_or(60),
            discovery_url: f.text("discovery_url")?.filter(|u| !u.is_empty()),
            fixed_network: f.text("fixed_network")?,
            fixed_subnet: f.text("fixed_subnet")?,
            floating_ip_enabled: f.flag("floating_ip_enabled")?,
            master_lb_enabled: f.flag("master_lb_enabled")?,
        })
    }

    /// The labels of the cluster: those of the template, the given ones, or
    /// both merged.
    pub(crate) fn merged_labels(&self, template: &Template) -> BTreeMap<String, String> {
        match &self.labels {
            Some(given) if !given.is_empty() => {
                let mut out = if self.merge_labels {
                    template.labels.clone()
                } else {
                    BTreeMap::new()
                };
                out.extend(given.clone());
                out
            }
            _ => template.labels.clone(),
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if good {
        return Ok(());
    }
    Err(invalid_field(
        "name",
        name,
        "Value should match the pattern ^[a-zA-Z][a-zA-Z0-9_.-]*$",
    ))
}

/// Checks the number of masters: odd, and more than one only with a balancer.
pub(crate) fn check_masters_odd(count: i64) -> Result<()> {
    if count % 2 == 0 {
        return Err(bad_request(
            "master_count",
            format!("master nodegroup size of {count} is invalid, size cannot be an even number."),
        ));
    }
    Ok(())
}
