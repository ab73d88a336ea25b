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

    /// Queues a resource, unless it stays.
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

    /// Handles a removed resource: queues resources that it was the last to
    /// use.
    pub(super) fn release(&mut self, slot: Slot, gone: &ResourceRow, parts: &ResourceIndex) {
        self.to_remove.remove(&slot);
        if let Some(group) = gone.parent.as_ref()
            && !parts.has_members(group)
            && let Some(slot) = parts.slot(group)
        {
            self.add(slot);
        }
        for id in &gone.requires {
            if parts.is_required(id) {
                continue;
            }
            if let Some(slot) = parts.slot(id) {
                self.add(slot);
                for (member, _) in parts.members(id) {
                    self.add(member);
                }
            }
        }
    }
}
