//! The interface of orchestration, with Heat's terms. The caller generates and
//! stores the ids of stacks first.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{Ctx, OwnerKey, ProjectId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StackId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    Init,
    Create,
    Update,
    Delete,
    Rollback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[serde(rename = "IN_PROGRESS")]
    InProgress,
    #[serde(rename = "COMPLETE")]
    Complete,
    #[serde(rename = "FAILED")]
    Failed,
}

/// Kind of the reconciler; the id of its keys is the id of the stack.
pub(crate) const KIND: &str = "stack";

/// The owner that the other services record for the resources of a stack.
#[must_use]
pub fn owner_of_resources(stack_id: &StackId) -> OwnerKey {
    OwnerKey::new(KIND, stack_id)
}

#[derive(Debug, Clone, Default)]
pub struct NewStack {
    pub id: StackId,
    pub project_id: ProjectId,
    pub name: String,
    /// HOT as text (YAML or JSON).
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
    pub timeout_mins: Option<i64>,
    pub disable_rollback: bool,
    /// Marked dirty in each transaction that changes the status of the stack.
    pub owner: Option<OwnerKey>,
}

/// An update; `None` keeps the current value.
#[derive(Debug, Clone, Default)]
pub struct StackUpdate {
    pub template: Option<String>,
    /// Replaces the named parameters, keeps the others.
    pub parameters: BTreeMap<String, Value>,
    pub timeout_mins: Option<i64>,
    pub disable_rollback: bool,
}

#[derive(Debug, Clone)]
pub struct Stack {
    pub id: StackId,
    pub project_id: ProjectId,
    pub name: String,
    pub action: Action,
    pub status: Status,
    /// The first cause of a failure, or what the action waits for.
    pub status_reason: String,
    /// Evaluated when COMPLETE; a failed output is null.
    pub outputs: BTreeMap<String, Value>,
    /// Incremented with each accepted create, update and delete.
    pub generation: i64,
}

#[derive(Debug, Clone)]
pub struct StackResource {
    pub name: String,
    /// Name of its group, for a member.
    pub parent: Option<String>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub status_reason: String,
}

#[derive(Debug, Clone)]
pub struct StackEvent {
    pub at: Timestamp,
    pub resource: String,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
}

/// A report of an unhealthy resource.
#[derive(Debug, Clone, Default)]
pub struct Unhealthy {
    /// Name of its group, for a member.
    pub group: Option<String>,
    pub name: String,
    /// Identifies the incident: repeating a report counts once.
    pub incident: String,
}

/// A signal for a wait condition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    /// Signals with the same id count once.
    pub id: String,
    /// `SUCCESS` or `FAILURE`.
    pub status: String,
    pub reason: String,
    #[serde(default)]
    pub data: Value,
}

#[async_trait]
pub trait Stacks: Send + Sync {
    /// Validates the template, reporting all errors with line and path, and starts
    /// the creation.
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack>;
    async fn show(&self, ctx: &Ctx, id: &StackId) -> Result<Stack>;
    async fn update(&self, ctx: &Ctx, id: &StackId, update: StackUpdate) -> Result<Stack>;
    /// Makes the next update repair these resources: a server is rebuilt in
    /// place with the user data of the update, keeping its id, name and ports;
    /// other resources are replaced. Changes nothing by itself.
    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &StackId,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()>;
    /// Starts the deletion, also during another action; it is complete when
    /// `show` returns `NotFound`. A deleted stack cannot be created or updated
    /// any more, not even by an earlier delayed call.
    async fn delete(&self, ctx: &Ctx, id: &StackId) -> Result<()>;
    async fn resources(&self, ctx: &Ctx, id: &StackId) -> Result<Vec<StackResource>>;
    async fn events(&self, ctx: &Ctx, id: &StackId, limit: u32) -> Result<Vec<StackEvent>>;
    /// Stores a signal for the WaitConditionHandle `resource` and marks the stack.
    /// A signal is ignored if the stored one with its id has a newer generation.
    async fn signal(&self, ctx: &Ctx, id: &StackId, resource: &str, signal: Signal) -> Result<()>;
}

/// The interface of the service: one trait object per kind of resource.
#[derive(Clone)]
pub struct OrchestrationApi {
    pub stacks: Arc<dyn Stacks>,
}
