//! The way back: what is no longer wanted goes, users before what they use.

use super::world::{Effect, World};
use crate::face::{Action, Status};
use crate::resource::Role;
use crate::stack::Part;

impl World {
    /// Whether a resource is to go.
    pub(super) fn is_doomed(&self, part: &Part) -> bool {
        if self.stack.emptying || part.doomed || part.action == Action::Delete {
            return true;
        }
        match part.parent.as_deref() {
            None => !self.graph.deps.contains_key(&part.name),
            Some(group) => {
                self.part(group).is_none_or(|g| self.is_doomed(g))
                    || self
                        .wanted
                        .get(group)
                        .is_some_and(|w| !w.contains(&part.name))
            }
        }
    }

    /// Takes every removal that is ready; answers whether nothing is left.
    pub(super) fn clean(&mut self) -> bool {
        // Removing one that needs no call frees others in the same round.
        loop {
            let doomed: Vec<Part> = self
                .parts
                .iter()
                .filter(|p| self.is_doomed(p))
                .cloned()
                .collect();
            if doomed.is_empty() {
                return true;
            }
            let before = self.parts.len();
            for part in &doomed {
                let stuck = part.action == Action::Delete && self.failed_now(part);
                if !stuck && !self.is_used(part) {
                    self.send_away(part);
                }
            }
            if self.parts.len() == before {
                return false;
            }
        }
    }

    /// Whether something that still exists uses it, or it has members. What a
    /// group's users use are its members as well.
    fn is_used(&self, part: &Part) -> bool {
        let group = part
            .parent
            .as_deref()
            .filter(|g| self.part(g).is_some_and(|g| self.is_doomed(g)));
        self.parts.iter().any(|other| {
            other.id != part.id
                && (other.parent.as_deref() == Some(&part.id)
                    || other
                        .requires
                        .iter()
                        .any(|r| *r == part.id || Some(r.as_str()) == group))
        })
    }

    fn send_away(&mut self, part: &Part) {
        let remote = matches!(Self::kind(part).map(|t| t.role), Some(Role::Remote));
        if !remote || part.retain || part.physical_id.is_none() {
            self.remove(&part.id);
            return;
        }
        if self.tried.contains(&part.id) && part.action == Action::Delete
            || self.flying.contains(&part.id)
        {
            return;
        }
        if !part.is(Action::Delete, Status::InProgress) {
            // It may have been created or checked in this very run.
            self.tried.remove(&part.id);
            self.waits.remove(&part.id);
            self.change(&part.id, |p| {
                p.action = Action::Delete;
                p.status = Status::InProgress;
                p.reason = "state changed".into();
            });
        }
        self.act(&part.id, Effect::Delete);
    }
}
