//! The queue of the cleanup: the resources to remove, and those of them that a
//! step may advance.

use std::collections::BTreeSet;

use super::resource_index::{ResourceIndex, Slot};
use crate::stack::ResourceRow;

/// The resources to remove, determined after all desired resources are
/// complete.
pub(super) struct RemovalQueue {
    to_remove: BTreeSet<Slot>,
    queue: BTreeSet<Slot>,
}

impl RemovalQueue {
    /// Queues all resources to remove.
    pub(super) fn new(to_remove: BTreeSet<Slot>) -> Self {
        Self {
            queue: to_remove.clone(),
            to_remove,
        }
    }

    /// Queues a resource if it has to be removed.
    pub(super) fn add(&mut self, slot: Slot) {
        if self.to_remove.contains(&slot) {
            self.queue.insert(slot);
        }
    }

    /// Takes the next resource.
    pub(super) fn pop(&mut self) -> Option<Slot> {
        self.queue.pop_first()
    }

    /// Whether nothing is left to remove.
    pub(super) fn is_complete(&self) -> bool {
        self.to_remove.is_empty()
    }

    /// Handles a removed resource: queues the resources that no other resource
    /// requires any more.
    pub(super) fn release(&mut self, slot: Slot, removed: &ResourceRow, resources: &ResourceIndex) {
        self.to_remove.remove(&slot);
        if let Some(group) = removed.parent.as_ref()
            && !resources.has_members(group)
            && let Some(slot) = resources.slot(group)
        {
            self.add(slot);
        }
        for id in &removed.requires {
            if resources.is_required(id) {
                continue;
            }
            if let Some(slot) = resources.slot(id) {
                self.add(slot);
                for (member, _) in resources.members(id) {
                    self.add(member);
                }
            }
        }
    }
}
