//! The in-memory state of a stack during runs. Pure: it determines effects to
//! start and changes to write, and `run` performs both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kernel::{Ctx, ids};
use lang::hot::Bound;
use serde_json::{Map, Value};

use super::cleanup::Removal;
use super::forward::Forward;
use super::graph::Graph;
use super::resource_index::{ResourceIndex, Slot};
use crate::api::{Action, Status};
use crate::resource::{self, Job, Role, Type};
use crate::stack::{EventRow, ResourceRow, Signals, StackRow, Unhealthy};

/// Changes for the next transaction. A resource that changed several times is
/// written once, in its final state.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// New or changed resources.
    pub written: BTreeSet<Slot>,
    /// Row ids of removed resources.
    pub removed: Vec<String>,
    pub events: Vec<EventRow>,
    /// Whether reports of unhealthy resources were taken.
    pub reports_taken: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
            && self.removed.is_empty()
            && self.events.is_empty()
            && !self.reports_taken
    }
}

/// An effect that may start once its intent is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Create,
    /// Also used to repeat an update: no remote type updates in place.
    Check,
    /// Rebuilds the object under the same id.
    Rebuild,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingEffect {
    pub slot: Slot,
    pub effect: Effect,
}

/// When a waiting resource is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// An event marks the stack; a slow check covers missed events.
    Event,
    /// The same step is repeated.
    Retry,
    /// A signal, or this time (microseconds).
    Until(i64),
}

/// What a resource waits for.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub reason: String,
    pub wake: Wake,
}

/// A template with its parameters, and its graph.
#[derive(Debug)]
pub(super) struct Model {
    pub bound: Bound,
    pub graph: Graph,
}

/// Why this release cannot process a stack. Its deadline still applies.
#[derive(Debug, Clone)]
pub(super) struct Blocked {
    pub why: String,
    /// The resources are unknown, so their absence proves nothing.
    pub resources_unknown: bool,
}

pub(super) struct StackState {
    pub stack: StackRow,
    /// Epoch of the lease of the current run.
    pub epoch: i64,
    /// `None` while everything is being removed.
    pub model: Option<Arc<Model>>,
    pub blocked: Option<Blocked>,
    pub parts: ResourceIndex,
    pub signals: Signals,
    pub(super) forward: Forward,
    pub(super) removal: Option<Removal>,
    /// Resources that were handled in this run: once per run is enough.
    pub tried: HashSet<Slot>,
    /// Resources with an effect in progress.
    pub in_flight: HashSet<Slot>,
    pub waits: BTreeMap<Slot, Waiting>,
    pub changes: Changes,
    pub launches: Vec<PendingEffect>,
    pub now: i64,
}

impl StackState {
    pub(super) fn new(
        stack: StackRow,
        model: Option<Model>,
        parts: Vec<ResourceRow>,
        signals: Signals,
        now: i64,
    ) -> Self {
        Self {
            stack,
            epoch: 0,
            forward: model
                .as_ref()
                .map(|m| Forward::new(&m.graph))
                .unwrap_or_default(),
            model: model.map(Arc::new),
            blocked: None,
            parts: ResourceIndex::new(parts),
            signals,
            removal: None,
            tried: HashSet::new(),
            in_flight: HashSet::new(),
            waits: BTreeMap::new(),
            changes: Changes::default(),
            launches: Vec::new(),
            now,
        }
    }

    /// Starts another run on the state of the last one: unfinished resources
    /// are checked again, except those that are known to be in progress.
    pub(super) fn begin_run(&mut self, epoch: i64, now: i64, going_on: &BTreeSet<Slot>) {
        self.epoch = epoch;
        self.now = now;
        self.tried = going_on.iter().copied().collect();
        self.waits.clear();
        let open: Vec<Slot> = self.parts.open().map(|(slot, _)| slot).collect();
        for slot in open {
            if going_on.contains(&slot) {
                self.keep_waiting(slot);
            } else {
                self.requeue(slot);
            }
        }
    }

    /// Queues a resource for another step.
    pub(super) fn requeue(&mut self, slot: Slot) {
        self.queue_forward(slot);
        if let Some(removal) = &mut self.removal {
            removal.queue(slot);
        }
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

    pub(super) fn kind(part: &ResourceRow) -> Option<Type> {
        resource::find(&part.resource_type)
    }

    /// `resources.group.resources.0`, as in Heat's texts.
    pub(super) fn path(&self, part: &ResourceRow) -> String {
        match part.parent.as_deref().and_then(|id| self.parts.get(id)) {
            Some(group) => format!("resources.{}.resources.{}", group.name, part.name),
            None => format!("resources.{}", part.name),
        }
    }

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

    pub(super) fn remove(&mut self, slot: Slot) {
        self.waits.remove(&slot);
        let Some(mut part) = self.parts.remove(slot) else {
            return;
        };
        part.action = Action::Delete;
        part.status = Status::Complete;
        self.changes.events.push(part.event("state changed"));
        self.changes.written.remove(&slot);
        self.release(slot, &part);
        self.changes.removed.push(part.id);
    }

    /// Adds a resource that has to be created.
    pub(super) fn add(&mut self, seed: Seed) -> Slot {
        let part = ResourceRow {
            id: ids::uuid(),
            name: seed.name,
            parent: seed.parent,
            resource_type: seed.resource_type,
            physical_id: Some(ids::uuid()),
            action: Action::Create,
            status: Status::InProgress,
            reason: "state changed".into(),
            props: seed.props,
            attrs: Map::new(),
            data: crate::stack::Data::default(),
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

    /// Starts an effect of a resource, or performs it immediately if it is
    /// local. Once per run.
    pub(super) fn act(&mut self, slot: Slot, effect: Effect) {
        if self.in_flight.contains(&slot) || !self.tried.insert(slot) {
            return;
        }
        let Some(part) = self.parts.at(slot) else {
            return;
        };
        match Self::kind(part).map(|t| t.role) {
            Some(Role::Local(local)) if effect != Effect::Delete => {
                let result = local.run(&self.job(part), &self.signals);
                self.apply_progress(slot, result);
            }
            Some(Role::Remote(_)) => {
                self.in_flight.insert(slot);
                self.launches.push(PendingEffect { slot, effect });
            }
            _ => {}
        }
    }

    pub(super) fn job(&self, part: &ResourceRow) -> Job {
        let physical_id = part.physical_id.clone().unwrap_or_default();
        let tail: String = part
            .id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        let group = part.parent.as_deref().and_then(|id| self.parts.get(id));
        let inner = group.map_or_else(
            || part.name.clone(),
            |g| format!("{}-{}", g.name, part.name),
        );
        // A repeated rebuild is the same call for the called service.
        let generation = part.data.rebuild.unwrap_or(self.epoch);
        let request_id = format!("req-{}", self.stack.id);
        Job {
            ctx: Ctx::for_project(request_id, &self.stack.project_id).with_generation(generation),
            project_id: self.stack.project_id.clone(),
            user_id: self.stack.user_id.clone(),
            owner: crate::api::owner_of_resources(&self.stack.id),
            physical_name: format!("{}-{inner}-{tail}", self.stack.name),
            physical_id,
            props: part.props.clone(),
            action: part.action,
            since: part.started_at,
            stack_since: self.stack.started_at,
            now: self.now,
        }
    }

    /// Whether it failed in the current action.
    pub(super) fn failed_now(&self, part: &ResourceRow) -> bool {
        part.status == Status::Failed && part.traversal == self.stack.traversal
    }

    /// Whether the resource is as desired.
    pub(super) fn is_complete(&self, slot: Slot) -> bool {
        self.parts
            .at(slot)
            .is_some_and(|p| p.status == Status::Complete)
    }
}

/// Initial values of a new resource.
pub(super) struct Seed {
    pub name: String,
    pub parent: Option<String>,
    pub resource_type: String,
    pub props: Map<String, Value>,
    pub requires: Vec<String>,
    pub replaces: Option<String>,
    pub retain: bool,
}
