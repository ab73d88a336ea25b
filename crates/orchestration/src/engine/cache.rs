//! Stacks between two runs: what is parsed, opened and indexed once serves
//! all runs of an action, as long as nobody else had the lease in between.

use std::collections::HashMap;
use std::sync::Mutex;

use super::world::World;

/// Resources of all kept stacks together; the stack that was used least
/// recently goes first.
const MAX_RESOURCES: usize = 32_768;

#[derive(Default)]
pub(super) struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    worlds: HashMap<String, (u64, World)>,
    resources: usize,
    clock: u64,
}

impl Cache {
    /// Takes what the run before this one left. Its writes were fenced by the
    /// epoch before this one, or by the same: nobody else has written since.
    pub(super) fn take(&self, id: &str, epoch: i64, traversal: i64) -> Option<World> {
        let mut kept = self.0.lock().ok()?;
        let (_, world) = kept.worlds.remove(id)?;
        kept.resources -= world.parts.len();
        let next = world.epoch == epoch || world.epoch + 1 == epoch;
        (next && world.stack.traversal == traversal).then_some(world)
    }

    pub(super) fn put(&self, world: World) {
        let Ok(mut kept) = self.0.lock() else { return };
        kept.clock += 1;
        let clock = kept.clock;
        kept.resources += world.parts.len();
        let id = world.stack.id.clone();
        if let Some((_, old)) = kept.worlds.insert(id, (clock, world)) {
            kept.resources -= old.parts.len();
        }
        while kept.resources > MAX_RESOURCES {
            let oldest = kept.worlds.iter().min_by_key(|(_, (used, _))| *used);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            if let Some((_, gone)) = kept.worlds.remove(&id) {
                kept.resources -= gone.parts.len();
            }
        }
    }
}
