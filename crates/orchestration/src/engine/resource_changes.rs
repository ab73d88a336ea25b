//! Changes of the resources of a stack, recorded for the next transaction.

use kernel::ids;
use serde_json::{Map, Value};

use super::resource_index::Slot;
use super::stack_state::StackState;
use crate::ResourceId;
use crate::api::{Action, Status};
use crate::stack::{Data, ResourceRow, Unhealthy};

/// Initial values of a new resource.
pub(super) struct Seed {
    pub name: String,
    pub parent: Option<ResourceId>,
    pub resource_type: String,
    pub props: Map<String, Value>,
    pub requires: Vec<ResourceId>,
    pub replaces: Option<ResourceId>,
    pub retain: bool,
}

impl StackState {
    /// Changes a resource and records the change; a change of its status is
    /// also an event.
    pub(super) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut ResourceRow)) {
        let (now, traversal) = (self.now, self.stack.traversal);
        let mut event = None;
        self.parts.change(slot, |part| {
            let before = (part.action, part.status);
            change(part);
            part.updated_at = now;
            if before != (part.action, part.status) {
                part.traversal = traversal;
                if before.0 != part.action || part.status == Status::InProgress {
                    part.started_at = now;
                }
                event = Some(part.event(&part.reason));
            }
        });
        self.changes.events.extend(event);
        self.changes.written.insert(slot);
    }

    /// Removes a resource that no longer has an object.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.waits.remove(&slot);
        let Some(mut part) = self.parts.remove(slot) else {
            return;
        };
        part.action = Action::Delete;
        part.status = Status::Complete;
        self.changes.events.push(part.event("state changed"));
        self.changes.written.remove(&slot);
        if let Some(removal) = &mut self.removal {
            removal.release(slot, &part, &self.parts);
        }
        self.changes.removed.push(part.id);
    }

    /// Adds a resource that has to be created.
    pub(super) fn add(&mut self, seed: Seed) -> Slot {
        let part = ResourceRow {
            id: ResourceId::random(),
            name: seed.name,
            parent: seed.parent,
            resource_type: seed.resource_type,
            physical_id: Some(ids::uuid()),
            action: Action::Create,
            status: Status::InProgress,
            reason: "state changed".into(),
            props: seed.props,
            attrs: Map::new(),
            data: Data::default(),
            requires: seed.requires,
            replaces: seed.replaces,
            to_remove: false,
            retain: seed.retain,
            traversal: self.stack.traversal,
            started_at: self.now,
            updated_at: self.now,
        };
        self.changes.events.push(part.event("state changed"));
        let slot = self.parts.add(part);
        self.changes.written.insert(slot);
        slot
    }

    /// Takes reports of unhealthy resources, which the current update repairs.
    /// A report that was taken before counts once.
    pub(super) fn take_reports(&mut self, reports: Vec<Unhealthy>) {
        self.changes.reports_taken = !reports.is_empty();
        for report in reports {
            let Some(slot) = self.parts.slot(&report.part) else {
                continue;
            };
            let known = |p: &ResourceRow| {
                p.action == Action::Delete
                    || p.data.incident.as_deref() == Some(report.incident.as_str())
            };
            if self.parts.at(slot).is_none_or(known) {
                continue;
            }
            self.parts.change(slot, |p| {
                p.data.incident = Some(report.incident);
                p.data.unhealthy = true;
                p.data.rebuild = None;
                // The traversal is unchanged, because the resource has not
                // failed in the current one.
                p.status = Status::Failed;
                p.reason = report.reason;
            });
            self.changes.written.insert(slot);
        }
    }
}
