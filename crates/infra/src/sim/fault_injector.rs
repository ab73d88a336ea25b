//! Decisions of a simulation about calls to the simulated engine.

use std::time::Duration;

use kernel::Error;

use crate::{Actor, Observed};

/// The kind of a call.
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
    Reserve,
    Release,
    Images,
    Pull,
    Events,
    NetworkList,
    NetworkEnsure,
    NetworkRemove,
    NetworkEvents,
}

/// A call, before it has any effect.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: CallKind,
    /// Name or id of the object; empty for lists.
    pub object: String,
    /// Set for changing calls.
    pub actor: Option<Actor>,
    /// The calling process; see [`super::Simulator::process`].
    pub process: String,
}

/// Injected delay and outcome of a call.
#[derive(Debug, Clone, Default)]
pub struct InjectedFault {
    /// Added to the usual latency.
    pub delay: Duration,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Default)]
pub enum Outcome {
    #[default]
    Answered,
    /// The call fails without any effect.
    Refused(Error),
    /// The call takes effect, but its answer is lost, and the caller sees a timeout.
    AnswerLost,
    /// The caller sees a timeout now, and the call takes effect after this
    /// time.
    Late(Duration),
    /// Like `Late`, for creations. Until the call takes effect, the engine has reserved
    /// the name of the object, so that a repeated call fails although an inspection
    /// finds nothing.
    Registering(Duration),
}

/// Injected delivery of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Now,
    After(Duration),
    Lost,
}

/// Decides about calls and events. A simulation passes its own implementation,
/// which uses its seed; by default every call succeeds.
pub trait FaultInjector: Send + Sync {
    fn decide_call(&self, call: &Call) -> InjectedFault {
        let _ = call;
        InjectedFault::default()
    }

    /// `process` is the listening process.
    fn decide_delivery(&self, event: &Observed, process: &str) -> Delivery {
        let _ = (event, process);
        Delivery::Now
    }
}

/// Injects no faults.
pub(super) struct NoFaults;

impl FaultInjector for NoFaults {}
