//! The way back: what is no longer wanted goes, users before what they use.

use std::collections::BTreeSet;

use super::parts::Place;
use super::world::{Effect, World};
use crate::face::{Action, Status};
use crate::resource::Role;
use crate::stack::Part;

/// The resources that are to go, decided when everything that stays is in
/// place, and those among them that a step may bring further.
pub(super) struct Removal {
    doomed: BTreeSet<Place>,
    queue: BTreeSet<Place>,
}

impl Removal {
    pub(super) fn queue(&mut self, place: Place) {
        if self.doomed.contains(&place) {
            self.queue.insert(place);
        }
    }
}

impl World {
    /// Whether a resource is to go.
    fn is_doomed(&self, part: &Part) -> bool {
        if self.stack.emptying || part.doomed || part.action == Action::Delete {
            return true;
        }
        match part.parent.as_deref() {
            None => self
                .model
                .as_ref()
                .is_none_or(|m| m.graph.number(&part.name).is_none()),
            Some(group) => self.parts.get(group).is_none_or(|g| {
                self.is_doomed(g) || self.wants_member(g, &part.name) == Some(false)
            }),
        }
    }

    /// Takes every removal that is ready; answers whether nothing is left.
    pub(super) fn clean(&mut self) -> bool {
        if self.removal.is_none() {
            let doomed: BTreeSet<Place> = self
                .parts
                .iter()
                .filter(|(_, p)| self.is_doomed(p))
                .map(|(place, _)| place)
                .collect();
            self.removal = Some(Removal {
                queue: doomed.clone(),
                doomed,
            });
        }
        while let Some(place) = self.removal.as_mut().and_then(|r| r.queue.pop_first()) {
            let Some(part) = self.parts.at(place) else {
                continue;
            };
            let stuck = part.action == Action::Delete && self.failed_now(part);
            // Whatever uses it queues it again when it goes.
            if !stuck && !self.is_used(part) {
                self.start_removal(place);
            }
        }
        self.removal.as_ref().is_none_or(|r| r.doomed.is_empty())
    }

    /// Whether something that still exists uses it, or it has members. What a
    /// group's users use are its members as well.
    fn is_used(&self, part: &Part) -> bool {
        let required = |id: &str| self.parts.is_required(id);
        self.parts.has_members(&part.id)
            || required(&part.id)
            || part.parent.as_deref().is_some_and(|group| {
                required(group) && self.parts.get(group).is_some_and(|g| self.is_doomed(g))
            })
    }

    /// A resource is gone: queues those that it was the last to use.
    pub(super) fn release(&mut self, place: Place, gone: &Part) {
        let Some(removal) = &mut self.removal else {
            return;
        };
        removal.doomed.remove(&place);
        if let Some(group) = gone.parent.as_deref()
            && !self.parts.has_members(group)
            && let Some(place) = self.parts.place(group)
        {
            removal.queue(place);
        }
        for id in &gone.requires {
            if self.parts.is_required(id) {
                continue;
            }
            if let Some(place) = self.parts.place(id) {
                removal.queue(place);
                for (member, _) in self.parts.members(id) {
                    removal.queue(member);
                }
            }
        }
    }

    fn start_removal(&mut self, place: Place) {
        let Some(part) = self.parts.at(place) else {
            return;
        };
        let remote = matches!(Self::kind(part).map(|t| t.role), Some(Role::Remote));
        if !remote || part.retain || part.physical_id.is_none() {
            self.remove(place);
            return;
        }
        if self.tried.contains(&place) && part.action == Action::Delete
            || self.in_flight.contains(&place)
        {
            return;
        }
        if !part.is(Action::Delete, Status::InProgress) {
            // It may have been created or checked in this very run.
            self.tried.remove(&place);
            self.waits.remove(&place);
            self.change(place, |p| {
                p.action = Action::Delete;
                p.status = Status::InProgress;
                p.reason = "state changed".into();
            });
        }
        self.act(place, Effect::Delete);
    }
}
