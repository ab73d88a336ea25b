//! Notifications and owner keys.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ProjectId;

/// An opaque reconciler key of another crate: a reconciler that finishes a row
/// with an owner key marks that key dirty in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerKey {
    /// The reconciler's kind, such as `stack`.
    pub kind: String,
    pub id: String,
}

impl OwnerKey {
    #[must_use]
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            id: id.into(),
        }
    }
}

/// A notification for the outbox. For clusters the payload is a CADF event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Such as `magnum.cluster.create.end`.
    pub event_type: String,
    pub project_id: Option<ProjectId>,
    pub payload: Value,
}
