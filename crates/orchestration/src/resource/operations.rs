//! The operations that a resource type implements, and their inputs.

use async_trait::async_trait;
use kernel::{Ctx, Id, OwnerKey, ProjectId, Timestamp, UserId};
use serde_json::{Map, Value};

use super::step::{Progress, Removal, StepError};
use crate::api::Action;
use crate::stack::Signals;

/// Inputs of the operations of a type.
pub(crate) struct Job {
    pub ctx: Ctx,
    pub project_id: ProjectId,
    pub user_id: UserId,
    /// The key that services mark dirty when they finish requested work.
    pub owner: OwnerKey,
    /// `{stack}-{resource}-{12 digits}`, the default name of objects.
    pub physical_name: String,
    pub physical_id: String,
    pub props: Map<String, Value>,
    pub action: Action,
    /// Start of the action of the resource.
    pub since: Timestamp,
    /// Acceptance of the action of the stack.
    pub stack_since: Timestamp,
    pub now: Timestamp,
}

impl Job {
    /// The physical id, as an id of the kind of the type.
    pub(super) fn id<K>(&self) -> Id<K> {
        self.physical_id.as_str().into()
    }
}

/// A type that needs no other service.
pub(crate) trait Local: Send + Sync {
    /// Creates, checks or updates the resource. The result depends only on the
    /// inputs.
    fn run(&self, job: &Job, signals: &Signals) -> Result<Progress, StepError>;

    /// The value of `get_resource`.
    fn reference(&self, physical_id: &str, attrs: &Map<String, Value>) -> Value {
        let _ = attrs;
        Value::from(physical_id)
    }
}

/// A type whose objects belong to another service.
#[async_trait]
pub(crate) trait Remote: Send + Sync {
    /// Creates the object with the given id, or finds the existing one.
    async fn create(&self, job: &Job) -> Result<Progress, StepError>;

    /// Checks the object. During a create, a missing object is created, because the
    /// process may have died between the intent and the call. Otherwise a missing
    /// object is a failure.
    async fn check(&self, job: &Job) -> Result<Progress, StepError>;

    /// Rebuilds the object under its id with the current properties. Only
    /// called for types whose schema supports it.
    async fn rebuild(&self, job: &Job) -> Result<Progress, StepError> {
        let _ = job;
        Err(StepError::failed(
            "InternalError",
            "This type has no rebuild.",
        ))
    }

    /// Starts the removal or checks its progress. An absent object counts as
    /// removed.
    async fn delete(&self, job: &Job) -> Result<Removal, StepError>;
}
