//! What the rows hold.

use std::collections::BTreeMap;

use kernel::OwnerKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::face::{Action, Stack, StackResource, Status};

/// What is to be known of a stack before it is worked on.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub status: Status,
    pub traversal: i64,
    pub deadline_at: i64,
    pub owner: Option<OwnerKey>,
}

/// A stack.
#[derive(Debug, Clone)]
pub(crate) struct StackRow {
    pub id: String,
    pub project_id: String,
    pub user_id: String,
    pub name: String,
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
    /// What an update that fails goes back to.
    pub previous: Option<Previous>,
    pub outputs: BTreeMap<String, Value>,
    pub timeout_mins: i64,
    pub disable_rollback: bool,
    pub owner: Option<OwnerKey>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    /// The failure that a rollback answers.
    pub cause: Option<String>,
    /// Everything is to go: a delete, or the rollback of a create.
    pub emptying: bool,
    pub generation: i64,
    /// Grows with each new aim, rollbacks included. Who works for an older
    /// one cannot write the stack.
    pub traversal: i64,
    pub started_at: i64,
    pub deadline_at: i64,
    pub created_at: i64,
}

/// A template that worked, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Previous {
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
}

/// A resource of a stack, or a member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub id: String,
    pub name: String,
    /// Row id of the group that it is a member of.
    pub parent: Option<String>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    /// Resolved properties of the last create or update that was started.
    pub props: Map<String, Value>,
    pub attrs: Map<String, Value>,
    /// What the engine remembers of it.
    pub data: Data,
    /// Row ids of what it uses: these go after it.
    pub requires: Vec<String>,
    /// Row id of what it takes the place of.
    pub replaces: Option<String>,
    /// Is to go though its name is still in the template.
    pub doomed: bool,
    /// The thing outlives the resource.
    pub retain: bool,
    /// The stack's traversal when its status last changed.
    pub traversal: i64,
    pub started_at: i64,
    pub updated_at: i64,
}

/// What the engine remembers of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Data {
    /// Indices of a group that are never used again.
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub blacklist: std::collections::BTreeSet<String>,
    /// It failed before and is given another chance: failing again replaces it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reviving: bool,
    /// Somebody has found it unhealthy, and it has not been mended since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
    /// The last incident that was reported; a repeat of it counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Its rebuild has to be asked for, in a call of this generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<i64>,
}

/// What an operation needs of a resource: no secret is opened.
#[derive(Debug, Clone)]
pub(crate) struct PartName {
    pub id: String,
    pub name: String,
    pub parent: Option<String>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
    pub doomed: bool,
}

/// A report that a resource is unhealthy.
#[derive(Debug, Clone)]
pub(crate) struct Unhealthy {
    /// Row id of the resource.
    pub part: String,
    pub incident: String,
    pub reason: String,
}

/// What a wait condition was told.
#[derive(Debug, Clone)]
pub(crate) struct SignalRow {
    /// Physical id of the handle.
    pub handle: String,
    pub id: String,
    pub status: SignalStatus,
    pub reason: String,
    pub data: Value,
    pub at: i64,
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalStatus {
    Success,
    Failure,
}

impl SignalStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
        }
    }

    /// # Errors
    /// A word of a newer version.
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
    handles: BTreeMap<String, Told>,
    /// Number of the newest signal that was loaded.
    pub newest: i64,
}

/// What one handle was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    by_id: BTreeMap<String, SignalRow>,
    failures: usize,
}

impl Signals {
    pub(crate) fn put(&mut self, signal: SignalRow) {
        let told = self.handles.entry(signal.handle.clone()).or_default();
        told.failures += usize::from(signal.status == SignalStatus::Failure);
        if let Some(old) = told.by_id.insert(signal.id.clone(), signal) {
            told.failures -= usize::from(old.status == SignalStatus::Failure);
        }
    }

    pub(crate) fn of(&self, handle: &str) -> Option<&Told> {
        self.handles.get(handle)
    }
}

impl Told {
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

/// Something that happened to a stack or to a resource.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub resource: String,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
}

impl Part {
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

impl PartName {
    pub(crate) fn face(self, parent: Option<String>) -> StackResource {
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
            physical_id: Some(self.id.clone()),
            action: self.action,
            status: self.status,
            reason: self.reason.clone(),
        }
    }

    pub(crate) fn face(self) -> Stack {
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

/// A stored word that this release does not know. The row is left alone.
pub(super) fn newer(what: &str, word: &str) -> kernel::Error {
    let why = format!("The {what} '{word}' was written by a newer version of Jeroboam.");
    kernel::Error::new(kernel::Kind::Internal, why)
}
