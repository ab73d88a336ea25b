//! The face of orchestration, in Heat's words. Ids of stacks come from the
//! caller, who stored them first.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{Ctx, OwnerKey, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

#[derive(Debug, Clone, Default)]
pub struct NewStack {
    pub id: String,
    pub project_id: String,
    pub name: String,
    /// HOT as text (YAML or JSON).
    pub template: String,
    pub parameters: BTreeMap<String, Value>,
    pub timeout_mins: Option<i64>,
    pub disable_rollback: bool,
    /// Marked dirty in each transaction that changes the stack's status.
    pub owner: Option<OwnerKey>,
}

/// An update; `None` keeps what is.
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
    pub id: String,
    pub project_id: String,
    pub name: String,
    pub action: Action,
    pub status: Status,
    /// The first cause of a failure, or what the action waits for.
    pub status_reason: String,
    /// Computed when COMPLETE; an output that fails is null.
    pub outputs: BTreeMap<String, Value>,
    /// Grows with each create, update and delete that was accepted.
    pub generation: i64,
}

#[derive(Debug, Clone)]
pub struct StackResource {
    pub name: String,
    /// Name of the group that it is a member of.
    pub parent: Option<String>,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub status_reason: String,
}

#[derive(Debug, Clone)]
pub struct StackEvent {
    pub at: i64,
    pub resource: String,
    pub resource_type: String,
    pub physical_id: Option<String>,
    pub action: Action,
    pub status: Status,
    pub reason: String,
}

/// A resource that somebody has found unhealthy.
#[derive(Debug, Clone, Default)]
pub struct Unhealthy {
    /// Name of the group that it is a member of.
    pub group: Option<String>,
    pub name: String,
    /// Names what has happened: a repeat of the same incident counts once.
    pub incident: String,
}

/// What a wait condition is told.
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
    /// Validates (all errors at once, with line and path) and starts.
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack>;
    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Stack>;
    async fn update(&self, ctx: &Ctx, id: &str, update: StackUpdate) -> Result<Stack>;
    /// Has the next update mend these resources: a server is rebuilt in place,
    /// with the user data that follows from the update, and keeps its id, name
    /// and ports; anything else is replaced. Changes nothing by itself.
    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &str,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()>;
    /// Starts the removal, also while another action runs; it is over when
    /// `show` says `NotFound`. A stack that was removed cannot be created or
    /// updated any more, not even by a call that was sent before.
    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()>;
    async fn resources(&self, ctx: &Ctx, id: &str) -> Result<Vec<StackResource>>;
    async fn events(&self, ctx: &Ctx, id: &str, limit: u32) -> Result<Vec<StackEvent>>;
    /// `resource` is a WaitConditionHandle; wakes the condition at once. A
    /// signal of an older generation than the stored one of its id is void.
    async fn signal(&self, ctx: &Ctx, id: &str, resource: &str, signal: Signal) -> Result<()>;
}

/// The face: one trait object per noun.
#[derive(Clone)]
pub struct OrchestrationFace {
    pub stacks: Arc<dyn Stacks>,
}
