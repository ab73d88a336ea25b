//! The memory of the simulated engine, which a restart loses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::Observed;

/// The parts of an engine that a restart does not keep, shared by all processes
/// that use it.
#[derive(Default)]
pub(super) struct EngineProcess {
    state: Mutex<EngineState>,
}

#[derive(Default)]
pub(super) struct EngineState {
    pub down: bool,
    /// Number of starts. A call compares it to find out whether the engine was
    /// restarted meanwhile, because the call then has no effect.
    pub boot: u64,
    /// Names that creations in progress have reserved, with their number.
    registering: BTreeMap<String, usize>,
    pub listeners: Vec<Listener>,
}

/// A subscriber to events.
pub(super) struct Listener {
    /// Whether the listener receives events of networks; otherwise it receives those of
    /// containers.
    pub networks: bool,
    pub process: Arc<str>,
    pub sender: mpsc::Sender<Observed>,
}

impl EngineProcess {
    pub(super) fn state(&self) -> MutexGuard<'_, EngineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a creation in progress has reserved this name.
    pub(super) fn is_registering(&self, name: &str) -> bool {
        self.state().registering.contains_key(name)
    }

    pub(super) fn reserve(&self, name: &str) {
        *self.state().registering.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn release(&self, name: &str) {
        let mut state = self.state();
        if let Some(count) = state.registering.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                state.registering.remove(name);
            }
        }
    }
}
