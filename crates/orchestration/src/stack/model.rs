//! What the rows hold.

use std::collections::BTreeMap;

use kernel::OwnerKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::face::{Action, Stack, StackResource, Status};

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
}

/// What a wait condition was told.
#[derive(Debug, Clone)]
pub(crate) struct SignalRow {
    /// Physical id of the handle.
    pub handle: String,
    pub id: String,
    pub status: String,
    pub reason: String,
    pub data: Value,
    pub at: i64,
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
        _ => return Err(kernel::Error::internal(format!("unknown action {word}"))),
    })
}

pub(super) fn status_of(word: &str) -> kernel::Result<Status> {
    Ok(match word {
        "IN_PROGRESS" => Status::InProgress,
        "COMPLETE" => Status::Complete,
        "FAILED" => Status::Failed,
        _ => return Err(kernel::Error::internal(format!("unknown status {word}"))),
    })
}
