//! Cleanup: removes resources that are no longer desired, users before their
//! dependencies.

use std::collections::BTreeSet;

use super::effect::Effect;
use super::removal_queue::RemovalQueue;
use super::resource_index::Slot;
use super::stack_state::StackState;
use crate::ResourceId;
use crate::api::{Action, Status};
use crate::resource::Role;
use crate::stack::ResourceRow;

impl StackState {
    /// Whether a resource has to be removed.
    fn is_to_be_removed(&self, resource: &ResourceRow) -> bool {
        if self.stack.emptying || resource.to_remove || resource.action == Action::Delete {
            return true;
        }
        match resource.parent.as_ref() {
            None => self
                .model
                .as_ref()
                .is_none_or(|m| m.graph.number(&resource.name).is_none()),
            Some(group) => self.resources.get(group).is_none_or(|g| {
                self.is_to_be_removed(g) || self.wants_member(g, &resource.name) == Some(false)
            }),
        }
    }

    /// Starts all removals that are ready; returns whether nothing is left.
    pub(super) fn clean(&mut self) -> bool {
        if self.removal.is_none() {
            let to_remove: BTreeSet<Slot> = self
                .resources
                .iter()
                .filter(|(_, p)| self.is_to_be_removed(p))
                .map(|(slot, _)| slot)
                .collect();
            self.removal = Some(RemovalQueue::new(to_remove));
        }
        while let Some(slot) = self.removal.as_mut().and_then(RemovalQueue::pop) {
            let Some(resource) = self.resources.at(slot) else {
                continue;
            };
            let has_failed = resource.action == Action::Delete && self.failed_now(resource);
            // It is queued again when its last user is removed.
            if !has_failed && !self.is_used(resource) {
                self.start_removal(slot);
            }
        }
        self.removal.as_ref().is_none_or(RemovalQueue::is_complete)
    }

    /// Whether another existing resource requires this one, or this one is a group
    /// that has members. A resource that requires a group also requires its
    /// members.
    fn is_used(&self, resource: &ResourceRow) -> bool {
        let required = |id: &ResourceId| self.resources.is_required(id);
        self.resources.has_members(&resource.id)
            || required(&resource.id)
            || resource.parent.as_ref().is_some_and(|group| {
                required(group)
                    && self
                        .resources
                        .get(group)
                        .is_some_and(|g| self.is_to_be_removed(g))
            })
    }

    fn start_removal(&mut self, slot: Slot) {
        let Some(resource) = self.resources.at(slot) else {
            return;
        };
        let remote = matches!(Self::kind(resource).map(|t| t.role), Some(Role::Remote(_)));
        if !remote || resource.retain || resource.physical_id.is_none() {
            self.remove(slot);
            return;
        }
        if self.tried.contains(&slot) && resource.action == Action::Delete
            || self.in_flight.contains(&slot)
        {
            return;
        }
        if !resource.is(Action::Delete, Status::InProgress) {
            // It may have been created or checked in this run.
            self.tried.remove(&slot);
            self.waits.remove(&slot);
            self.change(slot, |p| {
                p.action = Action::Delete;
                p.status = Status::InProgress;
                p.reason = "state changed".into();
            });
        }
        self.act(slot, Effect::Delete);
    }
}
