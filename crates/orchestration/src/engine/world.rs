//! A stack in memory while runs work on it. Pure: it decides which effects to
//! start and collects what to write, `run` does both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kernel::{Ctx, OwnerKey, ids};
use lang::hot::Bound;
use serde_json::{Map, Value};

use super::cleanup::Removal;
use super::forward::Forward;
use super::graph::Graph;
use super::parts::{Parts, Place};
use crate::face::{Action, Status};
use crate::resource::{self, Job, Role, Type};
use crate::stack::{EventRow, Part, Signals, StackRow, Unhealthy};

/// What the next transaction writes. A resource that changed several times is
/// written once, as it is then.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Resources that are new or changed.
    pub written: BTreeSet<Place>,
    /// Row ids of resources that are gone.
    pub removed: Vec<String>,
    pub events: Vec<EventRow>,
    /// Reports of unhealthy resources were taken.
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
    /// Also repeats an update: no remote type changes anything in place.
    Check,
    /// Makes the thing anew under the same id.
    Rebuild,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Launch {
    pub place: Place,
    pub effect: Effect,
}

/// How a resource that waits is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Somebody marks the stack; a slow look is the net below it.
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

/// A template with its parameters, and the graph that follows from them.
#[derive(Debug)]
pub(super) struct Model {
    pub bound: Bound,
    pub graph: Graph,
}

/// Why this release cannot work on a stack. Its deadline holds nevertheless.
#[derive(Debug, Clone)]
pub(super) struct Blocked {
    pub why: String,
    /// The resources are unknown, so nothing may be concluded from there
    /// being none.
    pub blind: bool,
}

pub(super) struct World {
    pub stack: StackRow,
    /// Epoch of the lease under which the present run works.
    pub epoch: i64,
    /// `None` while everything is to go.
    pub model: Option<Arc<Model>>,
    pub blocked: Option<Blocked>,
    pub parts: Parts,
    pub signals: Signals,
    pub(super) forward: Forward,
    pub(super) removal: Option<Removal>,
    /// What was acted on in this run: once per run is enough.
    pub tried: HashSet<Place>,
    /// What has an effect that has not come back.
    pub in_flight: HashSet<Place>,
    pub waits: BTreeMap<Place, Waiting>,
    pub changes: Changes,
    pub launches: Vec<Launch>,
    pub now: i64,
}

impl World {
    pub(super) fn new(
        stack: StackRow,
        model: Option<Model>,
        parts: Vec<Part>,
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
            parts: Parts::new(parts),
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

    /// Begins another run on what the last one left: whatever is not over is
    /// looked at again, but for those of which is known that they go on.
    pub(super) fn begin_run(&mut self, epoch: i64, now: i64, going_on: &BTreeSet<Place>) {
        self.epoch = epoch;
        self.now = now;
        self.tried = going_on.iter().copied().collect();
        self.waits.clear();
        let open: Vec<Place> = self.parts.open().map(|(place, _)| place).collect();
        for place in open {
            if going_on.contains(&place) {
                self.go_on(place);
            } else {
                self.look_again(place);
            }
        }
    }

    /// Puts a resource back among those that a step may bring further.
    pub(super) fn look_again(&mut self, place: Place) {
        self.queue_forward(place);
        if let Some(removal) = &mut self.removal {
            removal.queue(place);
        }
    }

    /// Takes reports of unhealthy resources: the update that goes on mends
    /// them. A report that was taken before counts once.
    pub(super) fn take_reports(&mut self, reports: Vec<Unhealthy>) {
        self.changes.reports_taken = !reports.is_empty();
        for report in reports {
            let Some(place) = self.parts.place(&report.part) else {
                continue;
            };
            let known = |p: &Part| {
                p.action == Action::Delete
                    || p.data.incident.as_deref() == Some(report.incident.as_str())
            };
            if self.parts.at(place).is_none_or(known) {
                continue;
            }
            self.parts.change(place, |p| {
                p.data.incident = Some(report.incident);
                p.data.unhealthy = true;
                p.data.rebuild = None;
                // The traversal stays: it has not failed in this one.
                p.status = Status::Failed;
                p.reason = report.reason;
            });
            self.changes.written.insert(place);
        }
    }

    pub(super) fn kind(part: &Part) -> Option<Type> {
        resource::find(&part.resource_type)
    }

    /// `resources.group.resources.0`, as Heat's texts have it.
    pub(super) fn path(&self, part: &Part) -> String {
        match part.parent.as_deref().and_then(|id| self.parts.get(id)) {
            Some(group) => format!("resources.{}.resources.{}", group.name, part.name),
            None => format!("resources.{}", part.name),
        }
    }

    /// Changes a resource, stamps it and has it written; a change of its
    /// status is also an event.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Part)) {
        let (now, traversal) = (self.now, self.stack.traversal);
        let mut event = None;
        self.parts.change(place, |part| {
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
        self.changes.written.insert(place);
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.waits.remove(&place);
        let Some(mut part) = self.parts.remove(place) else {
            return;
        };
        part.action = Action::Delete;
        part.status = Status::Complete;
        self.changes.events.push(part.event("state changed"));
        self.changes.written.remove(&place);
        self.release(place, &part);
        self.changes.removed.push(part.id);
    }

    /// Adds a resource that is to be created.
    pub(super) fn add(&mut self, seed: Seed) -> Place {
        let part = Part {
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
            doomed: false,
            retain: seed.retain,
            traversal: self.stack.traversal,
            started_at: self.now,
            updated_at: self.now,
        };
        self.changes.events.push(part.event("state changed"));
        let place = self.parts.add(part);
        self.changes.written.insert(place);
        place
    }

    /// Starts an effect of a resource, or runs it at once where it is local.
    /// Once per run.
    pub(super) fn act(&mut self, place: Place, effect: Effect) {
        if self.in_flight.contains(&place) || !self.tried.insert(place) {
            return;
        }
        let Some(part) = self.parts.at(place) else {
            return;
        };
        match Self::kind(part).map(|t| t.role) {
            Some(Role::Local(local)) if effect != Effect::Delete => {
                let result = local.run(&self.job(part), &self.signals);
                self.progressed(place, result);
            }
            Some(Role::Remote) => {
                self.in_flight.insert(place);
                self.launches.push(Launch { place, effect });
            }
            _ => {}
        }
    }

    pub(super) fn job(&self, part: &Part) -> Job {
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
        // A repeat of a rebuild is the same call to whoever is called.
        let generation = part.data.rebuild.unwrap_or(self.epoch);
        let request_id = format!("req-{}", self.stack.id);
        Job {
            ctx: Ctx::for_project(request_id, &self.stack.project_id).with_generation(generation),
            project_id: self.stack.project_id.clone(),
            user_id: self.stack.user_id.clone(),
            owner: OwnerKey::new(crate::KIND, &self.stack.id),
            physical_name: format!("{}-{inner}-{tail}", self.stack.name),
            physical_id,
            props: part.props.clone(),
            action: part.action,
            since: part.started_at,
            stack_since: self.stack.started_at,
            now: self.now,
        }
    }

    /// Failed in what the stack does now.
    pub(super) fn failed_now(&self, part: &Part) -> bool {
        part.status == Status::Failed && part.traversal == self.stack.traversal
    }

    /// Whether the resource of a row id is as it should be.
    pub(super) fn is_complete(&self, place: Place) -> bool {
        self.parts
            .at(place)
            .is_some_and(|p| p.status == Status::Complete)
    }
}

/// What a new resource starts with.
pub(super) struct Seed {
    pub name: String,
    pub parent: Option<String>,
    pub resource_type: String,
    pub props: Map<String, Value>,
    pub requires: Vec<String>,
    pub replaces: Option<String>,
    pub retain: bool,
}
