//! Changes of the resources of a stack, recorded for the next transaction.

use kernel::ids;
use serde_json::{Map, Value};

use super::resource_index::Slot;
use super::stack_state::StackState;
use crate::ResourceId;
use crate::api::{Action, Status};
use crate::stack::{Data, ResourceRow, Unhealthy};

/// Initial values of a new resource.
pub(super) struct NewResource {
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
        self.resources.change(slot, |resource| {
            let before = (resource.action, resource.status);
            change(resource);
            resource.updated_at = now;
            if before != (resource.action, resource.status) {
                resource.traversal = traversal;
                if before.0 != resource.action || resource.status == Status::InProgress {
                    resource.started_at = now;
                }
                event = Some(resource.event(&resource.reason));
            }
        });
        self.changes.events.extend(event);
        self.changes.written.insert(slot);
    }

    /// Removes a resource that no longer has an object.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.waits.remove(&slot);
        let Some(mut resource) = self.resources.remove(slot) else {
            return;
        };
        resource.action = Action::Delete;
        resource.status = Status::Complete;
        self.changes.events.push(resource.event("state changed"));
        self.changes.written.remove(&slot);
        if let Some(removal) = &mut self.removal {
            removal.release(slot, &resource, &self.resources);
        }
        self.changes.removed.push(resource.id);
    }

    /// Adds a resource that has to be created.
    pub(super) fn add(&mut self, new: NewResource) -> Slot {
        let resource = ResourceRow {
            id: ResourceId::random(),
            name: new.name,
            parent: new.parent,
            resource_type: new.resource_type,
            physical_id: Some(ids::uuid()),
            action: Action::Create,
            status: Status::InProgress,
            reason: "state changed".into(),
            props: new.props,
            attrs: Map::new(),
            data: Data::default(),
            requires: new.requires,
            replaces: new.replaces,
            to_remove: false,
            retain: new.retain,
            traversal: self.stack.traversal,
            started_at: self.now,
            updated_at: self.now,
        };
        self.changes.events.push(resource.event("state changed"));
        let slot = self.resources.add(resource);
        self.changes.written.insert(slot);
        slot
    }

    /// Marks the reported resources as unhealthy, so that the current update repairs
    /// them. A report of an incident that was handled before is ignored.
    pub(super) fn take_reports(&mut self, reports: Vec<Unhealthy>) {
        self.changes.reports_taken = !reports.is_empty();
        for report in reports {
            let Some(slot) = self.resources.slot(&report.resource_id) else {
                continue;
            };
            let known = |p: &ResourceRow| {
                p.action == Action::Delete
                    || p.data.incident.as_deref() == Some(report.incident.as_str())
            };
            if self.resources.at(slot).is_none_or(known) {
                continue;
            }
            self.resources.change(slot, |p| {
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
