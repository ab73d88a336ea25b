//! The in-memory state of a stack during runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kernel::Timestamp;
use lang::hot::Bound;

use super::changes::Changes;
use super::effect::PendingEffect;
use super::forward_queue::ForwardQueue;
use super::graph::Graph;
use super::removal_queue::RemovalQueue;
use super::resource_index::{ResourceIndex, Slot};
use super::waiting::{Waiting, Wake};
use crate::api::Status;
use crate::resource::{self, Type};
use crate::stack::{ResourceRow, Signals, StackRow};

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
    pub forward: ForwardQueue,
    pub removal: Option<RemovalQueue>,
    /// Resources that were handled in this run: once per run is enough.
    pub tried: HashSet<Slot>,
    /// Resources with an effect in progress.
    pub in_flight: HashSet<Slot>,
    pub waits: BTreeMap<Slot, Waiting>,
    pub changes: Changes,
    pub launches: Vec<PendingEffect>,
    pub now: Timestamp,
}

impl StackState {
    pub(super) fn new(
        stack: StackRow,
        model: Option<Model>,
        parts: Vec<ResourceRow>,
        signals: Signals,
        now: Timestamp,
    ) -> Self {
        Self {
            stack,
            epoch: 0,
            forward: model
                .as_ref()
                .map(|m| ForwardQueue::new(&m.graph))
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
    pub(super) fn begin_run(&mut self, epoch: i64, now: Timestamp, going_on: &BTreeSet<Slot>) {
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
        if let Some(model) = &self.model {
            self.forward.add(&model.graph, &self.parts, slot);
        }
        if let Some(removal) = &mut self.removal {
            removal.add(slot);
        }
    }

    /// Nothing has changed since the last check of the resource.
    fn keep_waiting(&mut self, slot: Slot) {
        if let Some(part) = self.parts.at(slot) {
            let (reason, wake) = (part.reason.clone(), Wake::Event);
            self.waits.insert(slot, Waiting { reason, wake });
        }
    }

    pub(super) fn kind(part: &ResourceRow) -> Option<Type> {
        resource::find(&part.resource_type)
    }

    /// `resources.group.resources.0`, as in Heat's texts.
    pub(super) fn path(&self, part: &ResourceRow) -> String {
        match part.parent.as_ref().and_then(|id| self.parts.get(id)) {
            Some(group) => format!("resources.{}.resources.{}", group.name, part.name),
            None => format!("resources.{}", part.name),
        }
    }

    /// Whether a group should have this member; `None` before the group was
    /// evaluated.
    pub(super) fn wants_member(&self, group: &ResourceRow, member: &str) -> Option<bool> {
        let number = self.model.as_ref()?.graph.number(&group.name)?;
        let run = self.forward.group(number)?;
        Some(run.number(member).is_some())
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
