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
    /// Whether the resources could not be loaded, so that nothing may be concluded
    /// from their absence.
    pub resources_unknown: bool,
}

pub(super) struct StackState {
    pub stack: StackRow,
    /// Epoch of the lease of the current run.
    pub epoch: i64,
    /// `None` while all resources are being removed, and for a blocked stack.
    pub model: Option<Arc<Model>>,
    pub blocked: Option<Blocked>,
    pub resources: ResourceIndex,
    pub signals: Signals,
    pub forward: ForwardQueue,
    pub removal: Option<RemovalQueue>,
    /// Resources for which an effect was started in this run; there is only one for
    /// each run.
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
        resources: Vec<ResourceRow>,
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
            resources: ResourceIndex::new(resources),
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

    /// Starts another run with the state of the last one. Unfinished resources are
    /// checked again, except those in `in_progress`.
    pub(super) fn begin_run(&mut self, epoch: i64, now: Timestamp, in_progress: &BTreeSet<Slot>) {
        self.epoch = epoch;
        self.now = now;
        self.tried = in_progress.iter().copied().collect();
        self.waits.clear();
        let open: Vec<Slot> = self.resources.open().map(|(slot, _)| slot).collect();
        for slot in open {
            if in_progress.contains(&slot) {
                self.keep_waiting(slot);
            } else {
                self.requeue(slot);
            }
        }
    }

    /// Queues a resource for another step.
    pub(super) fn requeue(&mut self, slot: Slot) {
        if let Some(model) = &self.model {
            self.forward.add(&model.graph, &self.resources, slot);
        }
        if let Some(removal) = &mut self.removal {
            removal.add(slot);
        }
    }

    /// Lets a resource wait with the same reason as before.
    fn keep_waiting(&mut self, slot: Slot) {
        if let Some(resource) = self.resources.at(slot) {
            let (reason, wake) = (resource.reason.clone(), Wake::Event);
            self.waits.insert(slot, Waiting { reason, wake });
        }
    }

    pub(super) fn kind(resource: &ResourceRow) -> Option<Type> {
        resource::find(&resource.resource_type)
    }

    /// The path of a resource as in Heat's texts: `resources.group.resources.0`.
    pub(super) fn path(&self, resource: &ResourceRow) -> String {
        match resource
            .parent
            .as_ref()
            .and_then(|id| self.resources.get(id))
        {
            Some(group) => format!("resources.{}.resources.{}", group.name, resource.name),
            None => format!("resources.{}", resource.name),
        }
    }

    /// Whether a group should have this member; `None` before the group was
    /// evaluated.
    pub(super) fn wants_member(&self, group: &ResourceRow, member: &str) -> Option<bool> {
        let number = self.model.as_ref()?.graph.number(&group.name)?;
        let run = self.forward.group(number)?;
        Some(run.number(member).is_some())
    }

    /// Whether the resource has failed in the current action.
    pub(super) fn failed_now(&self, resource: &ResourceRow) -> bool {
        resource.status == Status::Failed && resource.traversal == self.stack.traversal
    }

    /// Whether the resource is as desired.
    pub(super) fn is_complete(&self, slot: Slot) -> bool {
        self.resources
            .at(slot)
            .is_some_and(|p| p.status == Status::Complete)
    }
}
