//! What a simulation decides about each call to the simulated engine.

use std::time::Duration;

use kernel::Error;

use crate::{Actor, Observed};

/// A call that a server makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    Info,
    List,
    Inspect,
    Create,
    Start,
    Stop,
    Remove,
    Logs,
    Volumes,
    RemoveVolume,
    Images,
    Pull,
    Events,
    NetworkList,
    NetworkEnsure,
    NetworkRemove,
    NetworkEvents,
}

/// One call, before it has any effect.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: CallKind,
    /// Name or id of the object; empty for calls about all objects.
    pub object: String,
    /// For calls that change something.
    pub actor: Option<Actor>,
    /// Which process calls; see [`super::Simulator::process`].
    pub process: String,
}

/// What happens to a call.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// In addition to the usual latency.
    pub delay: Duration,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Default)]
pub enum Outcome {
    #[default]
    Answered,
    /// Fails before it has any effect.
    Refused(Error),
    /// Takes place, but the answer is lost: the caller sees a timeout.
    AnswerLost,
    /// The caller sees a timeout now; the call takes place this much later.
    Late(Duration),
    /// As `Late`. Meanwhile the engine has reserved the name of the object: a
    /// repeated call is a conflict, and an inspection finds nothing. For
    /// creations only.
    Registering(Duration),
}

/// What happens to an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Now,
    After(Duration),
    Lost,
}

/// Decides about calls and events. A simulation gives its own, which draws
/// from its seed; without one everything is answered.
pub trait Oracle: Send + Sync {
    fn fate(&self, call: &Call) -> Fate {
        let _ = call;
        Fate::default()
    }

    /// `process` is the one that listens.
    fn delivery(&self, event: &Observed, process: &str) -> Delivery {
        let _ = (event, process);
        Delivery::Now
    }
}

/// Nothing goes wrong.
pub(super) struct Calm;

impl Oracle for Calm {}
