//! Progress and errors of the steps of a resource.

use kernel::{Error, Kind, Timestamp};
use serde_json::{Map, Value};

/// Progress of a create or an update.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Complete, with the attributes.
    Done(Map<String, Value>),
    Wait {
        reason: String,
        /// Time at which the wait fails, if it waits for a signal.
        /// `None`: the called service marks the stack when it has finished.
        until: Option<Timestamp>,
    },
}

impl Progress {
    pub(crate) fn wait(reason: impl Into<String>) -> Self {
        Self::Wait {
            reason: reason.into(),
            until: None,
        }
    }
}

/// Progress of a removal.
#[derive(Debug)]
pub(crate) enum Removal {
    Gone,
    Wait(String),
}

/// Error of a step.
#[derive(Debug)]
pub(crate) enum StepError {
    /// Repeating the step may succeed.
    Later(String),
    /// Permanent, with the error class of Heat's texts.
    Failed {
        class: &'static str,
        message: String,
    },
}

impl StepError {
    pub(crate) fn failed(class: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            class,
            message: message.into(),
        }
    }
}

impl From<Error> for StepError {
    fn from(e: Error) -> Self {
        if e.is_transient() {
            return Self::Later(e.message);
        }
        let class = match &e.kind {
            Kind::NotFound => "NotFound",
            Kind::Conflict | Kind::AlreadyExists => "Conflict",
            Kind::Invalid { .. } => "BadRequest",
            Kind::Unauthenticated | Kind::Forbidden => "Forbidden",
            Kind::QuotaExceeded { .. } => "OverQuota",
            _ => "InternalError",
        };
        if class == "InternalError" {
            tracing::warn!(error = %e, "a resource failed");
        }
        Self::failed(class, e.message)
    }
}

/// Builds the attributes from a JSON object.
pub(super) fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The error for an object that does not exist although it should.
pub(super) fn missing_resource(noun: &str, id: &str) -> StepError {
    StepError::failed("NotFound", format!("The {noun} ({id}) could not be found."))
}

/// The progress of a removal, from the query that follows the delete call. `reason`
/// describes what an existing object waits for.
pub(super) fn removal<T>(
    shown: kernel::Result<T>,
    reason: impl FnOnce(T) -> String,
) -> Result<Removal, StepError> {
    match shown {
        Err(e) if e.is_not_found() => Ok(Removal::Gone),
        Err(e) => Err(e.into()),
        Ok(object) => Ok(Removal::Wait(reason(object))),
    }
}

/// Interprets the result of a delete call; `false`: the object does not exist. A
/// conflict is retried, because it means that something is still attached.
pub(super) fn started(result: kernel::Result<()>) -> Result<bool, StepError> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) if e.kind == Kind::Conflict => Err(StepError::Later(e.message)),
        Err(e) => Err(e.into()),
    }
}
