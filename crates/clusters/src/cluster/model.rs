//! A cluster, its statuses and the rules of its fields.

use std::collections::BTreeMap;

use kernel::{Error, Result, Target};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::authorized::Owned;
use crate::coe::Coe;
use crate::errors::{bad_request, invalid_field};
use crate::fields::{BodySpec, Fields, Kind, optional, required};
use crate::patch::{Patchable, Rules};
use crate::template::Template;

/// Maximum number of nodes of a group.
pub(crate) const MAX_NODES: i64 = 1000;

/// A row of a cluster, without its CA.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) uuid: String,
    pub(crate) project_id: String,
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) cluster_template_id: String,
    pub(crate) coe: String,
    pub(crate) keypair: Option<String>,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) master_flavor_id: Option<String>,
    pub(crate) flavor_id: Option<String>,
    /// Minutes; 0 means no limit.
    pub(crate) create_timeout: i64,
    /// Generated when the cluster is accepted, before the stack is created.
    pub(crate) stack_id: String,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) health_status: Option<String>,
    pub(crate) health_status_reason: Value,
    pub(crate) discovery_url: Option<String>,
    pub(crate) api_address: Option<String>,
    pub(crate) coe_version: Option<String>,
    pub(crate) container_version: Option<String>,
    pub(crate) fixed_network: Option<String>,
    pub(crate) fixed_subnet: Option<String>,
    pub(crate) floating_ip_enabled: bool,
    pub(crate) master_lb_enabled: bool,
    /// The operation of the current `*_IN_PROGRESS` status.
    pub(crate) intent: Intent,
    /// Incremented with every accepted operation.
    pub(crate) generation: i64,
    /// The generation whose desired state was sent to the stack.
    pub(crate) sent_generation: i64,
    /// Number of workers to return to if the operation fails; `None` if no
    /// rollback was requested.
    pub(crate) rollback: Option<i64>,
    /// The failure that caused the rollback.
    pub(crate) cause: Option<String>,
    /// The stored word of an [`Isolation`](super::isolation::Isolation); shown as
    /// it is.
    pub(crate) isolation: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: Option<i64>,
    /// Error text if the row contains a stored value that this release does not
    /// know. Such a row is only shown, because the meaning of the value is
    /// unknown.
    pub(crate) newer: Option<String>,
}

/// Goal of an operation in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Intent {
    #[default]
    Create,
    Resize,
    /// Return to the previous size after a failed resize.
    Rollback,
    RotateCa,
    Delete,
}

db::stored_enum! {
    Intent:
        Create = "create",
        Resize = "resize",
        Rollback = "rollback",
        RotateCa = "rotate-ca",
        Delete = "delete",
}

impl Intent {
    /// The action part of the status, such as `CREATE`.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Resize | Self::RotateCa => "UPDATE",
            Self::Rollback => "ROLLBACK",
            Self::Delete => "DELETE",
        }
    }

    /// The action name in notifications; a rollback is the end of an update.
    pub(crate) fn activity(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Resize | Self::Rollback | Self::RotateCa => "update",
            Self::Delete => "delete",
        }
    }
}

/// Actions and results that a cluster status consists of.
const VERBS: [&str; 4] = ["CREATE", "UPDATE", "ROLLBACK", "DELETE"];
const RESULTS: [&str; 3] = ["IN_PROGRESS", "COMPLETE", "FAILED"];

/// # Errors
/// Same errors as [`db::unknown_stored_value`].
pub(crate) fn check_status(word: &str) -> Result<()> {
    match word.split_once('_') {
        Some((verb, result)) if VERBS.contains(&verb) && RESULTS.contains(&result) => Ok(()),
        _ => Err(db::unknown_stored_value("status of a cluster", word)),
    }
}

impl Cluster {
    /// The container orchestration engine of the cluster.
    pub(crate) fn engine(&self) -> Result<Coe> {
        Coe::from_stored(&self.coe)
    }

    /// Returns the row, unless a newer release has written it.
    ///
    /// # Errors
    /// Same errors as [`db::unknown_stored_value`].
    pub(crate) fn reject_newer(self) -> Result<Self> {
        match self.newer {
            Some(why) => Err(Error::new(
                kernel::Kind::Unavailable { retry_after: 30 },
                why,
            )),
            None => Ok(self),
        }
    }

    pub(crate) fn in_progress(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS")
    }

    pub(crate) fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    pub(crate) fn complete(&self) -> bool {
        self.status.ends_with("_COMPLETE") && self.status != "DELETE_COMPLETE"
    }

    /// Whether a resize can start. The real service allows only a delete after
    /// a failed rollback; here a resize is allowed too.
    pub(crate) fn resizable(&self) -> bool {
        self.complete()
            || matches!(
                self.status.as_str(),
                "UPDATE_FAILED" | "UPDATE_IN_PROGRESS" | "ROLLBACK_FAILED"
            )
    }

    /// Final status and reason of an operation. The reason of a rollback names
    /// the original failure even if the rollback succeeded.
    pub(crate) fn final_status(&self, outcome: &Result<(), String>) -> (String, Option<String>) {
        let verb = self.intent.verb();
        match (outcome, &self.cause) {
            (Ok(()), cause) => (format!("{verb}_COMPLETE"), cause.clone()),
            (Err(why), None) => (format!("{verb}_FAILED"), Some(why.clone())),
            (Err(why), Some(cause)) => {
                let both = format!("{cause} (the rollback failed as well: {why})");
                (format!("{verb}_FAILED"), Some(both))
            }
        }
    }

    /// Prefix of the names of its nodes.
    pub(crate) fn prefix(&self) -> String {
        let short: String = self.uuid.chars().filter(|c| *c != '-').take(8).collect();
        format!("{}-{short}", crate::names::sanitised(&self.name, 24))
    }
}

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

/// Most text fields.
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

/// The attributes that a patch of a cluster cannot name.
impl Patchable for Cluster {
    const RULES: Rules<'static> = Rules {
        internal: &[
            "api_address",
            "node_addresses",
            "master_addresses",
            "stack_id",
            "cluster_id",
            "ca_cert_ref",
            "magnum_cert_ref",
            "etcd_ca_cert_ref",
            "front_proxy_ca_cert_ref",
        ],
        mandatory: &["cluster_template_id"],
    };
}

impl Owned for Cluster {
    fn target(&self) -> Target {
        Target {
            project_id: Some(self.project_id.clone()),
            user_id: Some(self.user_id.clone()),
            domain_id: None,
        }
    }
}

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

/// Compares labels with those of the parent: overridden, added and skipped
/// ones.
pub(crate) fn compare_labels(
    own: &BTreeMap<String, String>,
    parent: &BTreeMap<String, String>,
) -> [BTreeMap<String, String>; 3] {
    let mut out: [BTreeMap<String, String>; 3] = Default::default();
    for (key, value) in own {
        match parent.get(key) {
            Some(p) if p != value => out[0].insert(key.clone(), p.clone()),
            Some(_) => None,
            None => out[1].insert(key.clone(), value.clone()),
        };
    }
    for (key, value) in parent {
        if !own.contains_key(key) {
            out[2].insert(key.clone(), value.clone());
        }
    }
    out
}
