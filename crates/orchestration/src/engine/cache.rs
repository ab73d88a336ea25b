//! A cache of stack states: the runs of an action reuse parsed and indexed data,
//! unless another process held the lease in between.

use std::collections::HashMap;
use std::sync::Mutex;

use super::stack_state::StackState;
use crate::StackId;

/// Maximum number of cached resources of all stacks; the least recently used
/// stack is evicted first.
const MAX_RESOURCES: usize = 32_768;

#[derive(Default)]
pub(super) struct Cache(Mutex<CachedStates>);

#[derive(Default)]
struct CachedStates {
    states: HashMap<StackId, (u64, StackState)>,
    resources: usize,
    clock: u64,
}

impl Cache {
    /// Takes the state of the previous run. Its writes were fenced by the
    /// previous or the same epoch, so no other process has written since.
    pub(super) fn take(&self, id: &StackId, epoch: i64, traversal: i64) -> Option<StackState> {
        let mut cached = self.0.lock().ok()?;
        let (_, state) = cached.states.remove(id)?;
        cached.resources -= state.resources.len();
        let next = state.epoch == epoch || state.epoch + 1 == epoch;
        (next && state.stack.traversal == traversal).then_some(state)
    }

    pub(super) fn put(&self, state: StackState) {
        let Ok(mut cached) = self.0.lock() else {
            return;
        };
        cached.clock += 1;
        let clock = cached.clock;
        cached.resources += state.resources.len();
        let id = state.stack.id.clone();
        if let Some((_, old)) = cached.states.insert(id, (clock, state)) {
            cached.resources -= old.resources.len();
        }
        while cached.resources > MAX_RESOURCES {
            let oldest = cached.states.iter().min_by_key(|(_, (used, _))| *used);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            if let Some((_, evicted)) = cached.states.remove(&id) {
                cached.resources -= evicted.resources.len();
            }
        }
    }
}
