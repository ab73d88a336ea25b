//! Rows of stacks and resources.

use std::collections::BTreeMap;

use kernel::{OwnerKey, ProjectId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{Action, Stack, StackResource, Status};
use crate::{ResourceId, StackId};

/// The state of a stack that decides whether it is processed.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub status: Status,
    pub traversal: i64,
    pub deadline_at: Timestamp,
    pub owner: Option<OwnerKey>,
}

/// A stack.
#[derive(Debug, Clone)]
pub(crate) struct StackRow {
    pub id: StackId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub name: String,
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
    /// The template and parameters for the rollback of a failed update.
    pub previous: Option<Previous>,
    pub outputs: BTreeMap<String, Value>,
    pub timeout_mins: i64,
    pub disable_rollback: bool,
    pub owner: Option<OwnerKey>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    /// The failure that caused the rollback.
    pub cause: Option<String>,
    /// Whether all resources are removed, because of a delete or the rollback of a
    /// create.
    pub emptying: bool,
    pub generation: i64,
    /// Incremented with each new target, including rollbacks. Work for an older
    /// target cannot write the stack.
    pub traversal: i64,
    pub started_at: Timestamp,
    pub deadline_at: Timestamp,
    pub created_at: Timestamp,
}

/// The last successful template, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
}

/// A resource of a stack, or a member of a group.
#[derive(Debug, Clone)]
pub(crate) struct ResourceRow {
    pub id: ResourceId,
    pub name: String,
    /// Row id of its group, for a member.
    pub parent: Option<ResourceId>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    /// Resolved properties of the last started create or update.
    pub props: Map<String, Value>,
    pub attrs: Map<String, Value>,
    /// Additional state of the engine.
    pub data: Data,
    /// Row ids of its dependencies, which are removed after it.
    pub requires: Vec<ResourceId>,
    /// Row id of the resource that it replaces.
    pub replaces: Option<ResourceId>,
    /// Whether the resource has to be removed although its name is in the template.
    pub to_remove: bool,
    /// Whether the object is kept when the resource is removed.
    pub retain: bool,
    /// The traversal of the stack at the last status change.
    pub traversal: i64,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Additional state of a resource in the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Data {
    /// Indices of a group that are never reused.
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub blacklist: std::collections::BTreeSet<String>,
    /// Whether a resource that failed in an earlier action is retried. If it fails
    /// again, it is replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reviving: bool,
    /// Whether the resource was reported as unhealthy and has not been repaired since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
    /// The last reported incident; a repeated report counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The generation of a rebuild that has to be requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<i64>,
}

/// The columns of a resource that operations need; no secret is unsealed.
#[derive(Debug, Clone)]
pub(crate) struct ResourceSummary {
    pub id: ResourceId,
    pub name: String,
    pub parent: Option<ResourceId>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    pub to_remove: bool,
}

/// A report of an unhealthy resource.
#[derive(Debug, Clone)]
pub(crate) struct Unhealthy {
    /// Row id of the resource.
    pub resource_id: ResourceId,
    pub incident: String,
    pub reason: String,
}

/// A signal to a wait condition.
#[derive(Debug, Clone)]
pub(crate) struct SignalRow {
    /// Physical id of the handle.
    pub handle: String,
    pub id: String,
    pub status: SignalStatus,
    pub reason: String,
    pub data: Value,
    pub at: Timestamp,
}

/// The status of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalStatus {
    Success,
    Failure,
}

impl SignalStatus {
    pub(crate) fn as_stored(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
        }
    }

    /// # Errors
    /// An unknown value of a newer release.
    pub(crate) fn parse(word: &str) -> kernel::Result<Self> {
        match word {
            "SUCCESS" => Ok(Self::Success),
            "FAILURE" => Ok(Self::Failure),
            _ => Err(newer("status of a signal", word)),
        }
    }
}

/// The signals of a stack, by handle and id.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    handles: BTreeMap<String, HandleSignals>,
    /// Number of the newest loaded signal.
    pub newest: i64,
}

/// The signals of one handle.
#[derive(Debug, Default)]
pub(crate) struct HandleSignals {
    by_id: BTreeMap<String, SignalRow>,
    failures: usize,
}

impl Signals {
    pub(crate) fn put(&mut self, signal: SignalRow) {
        let handle_signals = self.handles.entry(signal.handle.clone()).or_default();
        handle_signals.failures += usize::from(signal.status == SignalStatus::Failure);
        if let Some(old) = handle_signals.by_id.insert(signal.id.clone(), signal) {
            handle_signals.failures -= usize::from(old.status == SignalStatus::Failure);
        }
    }

    pub(crate) fn of(&self, handle: &str) -> Option<&HandleSignals> {
        self.handles.get(handle)
    }
}

impl HandleSignals {
    pub(crate) fn successes(&self) -> usize {
        self.by_id.len() - self.failures
    }

    /// The signals of this status, oldest first.
    pub(crate) fn all(&self, status: SignalStatus) -> Vec<&SignalRow> {
        let of_status = |s: &&SignalRow| s.status == status;
        let mut all: Vec<&SignalRow> = self.by_id.values().filter(of_status).collect();
        all.sort_by_key(|s| s.at);
        all
    }

    pub(crate) fn has_failures(&self) -> bool {
        self.failures > 0
    }
}

/// An event of a stack or of a resource.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub resource: String,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
}

impl ResourceRow {
    pub(crate) fn is(&self, action: Action, status: Status) -> bool {
        self.action == action && self.status == status
    }

    pub(crate) fn event(&self, reason: &str) -> EventRow {
        EventRow {
            resource: self.name.clone(),
            resource_type: self.resource_type.clone(),
            physical_id: self.physical_id.clone(),
            action: self.action,
            status: self.status,
            reason: reason.to_owned(),
        }
    }
}

impl ResourceSummary {
    pub(crate) fn into_api(self, parent: Option<String>) -> StackResource {
        StackResource {
            name: self.name,
            parent,
            resource_type: self.resource_type,
            physical_id: self.physical_id,
            action: self.action,
            status: self.status,
            status_reason: self.reason,
        }
    }

    pub(crate) fn event(&self, reason: &str) -> EventRow {
        EventRow {
            resource: self.name.clone(),
            resource_type: self.resource_type.clone(),
            physical_id: self.physical_id.clone(),
            action: self.action,
            status: self.status,
            reason: reason.to_owned(),
        }
    }
}

impl StackRow {
    pub(crate) fn event(&self) -> EventRow {
        EventRow {
            resource: self.name.clone(),
            resource_type: "OS::Heat::Stack".into(),
            physical_id: Some(self.id.to_string()),
            action: self.action,
            status: self.status,
            reason: self.reason.clone(),
        }
    }

    pub(crate) fn into_api(self) -> Stack {
        let complete = self.status == Status::Complete && !self.emptying;
        Stack {
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            action: self.action,
            status: self.status,
            status_reason: self.reason,
            outputs: if complete {
                self.outputs
            } else {
                BTreeMap::new()
            },
            generation: self.generation,
        }
    }
}

pub(crate) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Init => "INIT",
        Action::Create => "CREATE",
        Action::Update => "UPDATE",
        Action::Delete => "DELETE",
        Action::Rollback => "ROLLBACK",
    }
}

pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::InProgress => "IN_PROGRESS",
        Status::Complete => "COMPLETE",
        Status::Failed => "FAILED",
    }
}

pub(super) fn action_of(word: &str) -> kernel::Result<Action> {
    Ok(match word {
        "INIT" => Action::Init,
        "CREATE" => Action::Create,
        "UPDATE" => Action::Update,
        "DELETE" => Action::Delete,
        "ROLLBACK" => Action::Rollback,
        _ => return Err(newer("action", word)),
    })
}

pub(super) fn status_of(word: &str) -> kernel::Result<Status> {
    Ok(match word {
        "IN_PROGRESS" => Status::InProgress,
        "COMPLETE" => Status::Complete,
        "FAILED" => Status::Failed,
        _ => return Err(newer("status", word)),
    })
}

/// The error for an unknown stored value. The row is left unchanged.
pub(super) fn newer(what: &str, word: &str) -> kernel::Error {
    let why = format!("The {what} '{word}' was written by a newer version of Jeroboam.");
    kernel::Error::new(kernel::Kind::Internal, why)
}
