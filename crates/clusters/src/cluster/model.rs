//! A cluster, its statuses and the rules of its fields.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Error, ProjectId, Result, Target, Timestamp, UserId};
use orchestration::StackId;
use serde_json::Value;

use crate::authorized::Owned;
use crate::coe::Coe;
use crate::patch::{Patchable, Rules};
use crate::status::{Action, Phase, StoredStatus};
use crate::{ClusterId, TemplateId};

/// Maximum lifetime of an unused token; it also expires after the
/// create timeout.
const LONGEST_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// A row of a cluster, without its CA.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) uuid: ClusterId,
    pub(crate) project_id: ProjectId,
    pub(crate) user_id: UserId,
    pub(crate) name: String,
    pub(crate) cluster_template_id: TemplateId,
    pub(crate) coe: String,
    pub(crate) keypair: Option<String>,
    pub(crate) docker_volume_size: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) master_flavor_id: Option<String>,
    pub(crate) flavor_id: Option<String>,
    /// Minutes; 0 means no limit.
    pub(crate) create_timeout: i64,
    /// Generated when the cluster is accepted, before the stack is created.
    pub(crate) stack_id: StackId,
    pub(crate) status: StoredStatus,
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
    /// The stored word of an [`Isolation`](compute::api::Isolation); shown as it is.
    pub(crate) isolation: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
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
    /// The action part of the status.
    pub(crate) fn action(self) -> Action {
        match self {
            Self::Create => Action::Create,
            Self::Resize | Self::RotateCa => Action::Update,
            Self::Rollback => Action::Rollback,
            Self::Delete => Action::Delete,
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
        self.status.is_in(Phase::InProgress)
    }

    pub(crate) fn complete(&self) -> bool {
        self.status.is_in(Phase::Complete) && !self.status.is(Action::Delete, Phase::Complete)
    }

    /// Whether a resize can start. The real service allows only a delete after
    /// a failed rollback; here a resize is allowed too.
    pub(crate) fn resizable(&self) -> bool {
        self.complete()
            || self.is_update_broken()
            || self.status.is(Action::Update, Phase::InProgress)
    }

    /// Whether the last update or its rollback failed.
    pub(crate) fn is_update_broken(&self) -> bool {
        self.status.is(Action::Update, Phase::Failed)
            || self.status.is(Action::Rollback, Phase::Failed)
    }

    /// Time that a new node has to register.
    pub(crate) fn token_lifetime(&self) -> Duration {
        let minutes = if self.create_timeout > 0 {
            self.create_timeout.unsigned_abs()
        } else {
            60
        };
        Duration::from_secs(minutes.saturating_mul(60)).min(LONGEST_TOKEN_LIFETIME)
    }

    /// Prefix of the names of its nodes.
    pub(crate) fn prefix(&self) -> String {
        let short: String = self.uuid.chars().filter(|c| *c != '-').take(8).collect();
        format!("{}-{short}", crate::names::sanitised(&self.name, 24))
    }
}

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
