//! Forward pass: moves each resource of the template to its desired state as
//! soon as its dependencies are complete.
//!
//! A queue holds the resources that a step may advance: a resource is queued
//! when its last dependency is settled and when one of its effects returns. No
//! other resource is examined.

use std::collections::{BTreeSet, HashMap};

use lang::hot::Variable;
use lang::{Node, Path};
use serde_json::{Map, Value};

use super::graph::Graph;
use super::group::GroupRun;
use super::resource_index::Slot;
use super::stack_state::{Effect, Model, Seed, StackState};
use crate::api::{Action, Status};
use crate::resource::{self, Role, Type};
use crate::stack::{ResourceRow, resolve};

/// A resource of the graph by number, and one of its members: 0 is the resource
/// itself, member `i` of a group is `i + 1`.
type Step = (usize, usize);

/// Progress of the resources of the template.
#[derive(Default)]
pub(super) struct Forward {
    /// Number of unsettled dependencies of each resource.
    missing: Vec<usize>,
    /// Complete: none of its dependencies changes in this traversal.
    settled: Vec<bool>,
    left: usize,
    pub(super) queue: BTreeSet<Step>,
    /// Number of performed steps.
    pub(super) steps: usize,
    /// Groups in progress, by number.
    pub(super) groups: HashMap<usize, GroupRun>,
}

impl Forward {
    pub(super) fn new(graph: &Graph) -> Self {
        let missing: Vec<usize> = (0..graph.len()).map(|i| graph.needs(i).len()).collect();
        let free = missing.iter().enumerate().filter(|(_, n)| **n == 0);
        Self {
            queue: free.map(|(i, _)| (i, 0)).collect(),
            settled: vec![false; missing.len()],
            left: missing.len(),
            missing,
            steps: 0,
            groups: HashMap::new(),
        }
    }

    pub(super) fn settle(&mut self, graph: &Graph, number: usize) {
        if std::mem::replace(&mut self.settled[number], true) {
            return;
        }
        self.left -= 1;
        for user in graph.users(number) {
            self.missing[*user] -= 1;
            if self.missing[*user] == 0 {
                self.queue.insert((*user, 0));
            }
        }
    }
}

/// The desired state of a resource.
pub(super) struct DesiredResource<'a> {
    pub name: &'a str,
    pub parent: Option<&'a str>,
    pub resource_type: &'a str,
    pub properties: &'a Node,
    pub variable: Option<Variable<'a>>,
    pub requires: &'a [String],
    pub retain: bool,
}

impl StackState {
    /// Performs all steps that are ready; returns whether everything is as
    /// desired.
    pub(super) fn forward(&mut self) -> bool {
        let Some(model) = self.model.clone() else {
            return false;
        };
        while let Some((number, member)) = self.forward.queue.pop_first() {
            if self.forward.settled[number] || self.forward.missing[number] > 0 {
                continue;
            }
            self.forward.steps += 1;
            match member.checked_sub(1) {
                None => self.step_resource(&model, number),
                Some(i) => self.step_member(&model, number, i),
            }
        }
        self.forward.left == 0
    }

    /// Queues a resource of the template for the next [`StackState::forward`].
    pub(super) fn queue_forward(&mut self, slot: Slot) {
        let Some(model) = self.model.clone() else {
            return;
        };
        let Some(part) = self.parts.at(slot) else {
            return;
        };
        let step = match part.parent.as_deref() {
            None => model.graph.number(&part.name).map(|n| (n, 0)),
            Some(group) => self.parts.get(group).and_then(|g| {
                let number = model.graph.number(&g.name)?;
                let run = self.forward.groups.get(&number)?;
                Some((number, run.numbers.get(&part.name)? + 1))
            }),
        };
        self.forward.queue.extend(step);
    }

    fn step_resource(&mut self, model: &Model, number: usize) {
        let name = model.graph.name(number);
        let Some(def) = model.bound.template.resources.get(name) else {
            return;
        };
        let requires = self.requires(&model.graph, number);
        let desired = DesiredResource {
            name,
            parent: None,
            resource_type: &def.resource_type,
            properties: &def.properties,
            variable: None,
            requires: &requires,
            retain: def.retain,
        };
        let group =
            resource::find(desired.resource_type).filter(|kind| matches!(kind.role, Role::Group));
        if let Some(kind) = group {
            self.step_group(model, number, &desired, kind);
        } else if self.step(model, &desired) {
            self.forward.settle(&model.graph, number);
        }
    }

    /// Row ids of the dependencies of a resource.
    pub(super) fn requires(&self, graph: &Graph, number: usize) -> Vec<String> {
        let needs = graph.needs(number).iter();
        needs
            .filter_map(|n| self.parts.current(None, graph.name(*n)))
            .map(|p| p.id.clone())
            .collect()
    }

    /// Performs one step of one resource; returns whether it is as desired.
    pub(super) fn step(&mut self, model: &Model, desired: &DesiredResource<'_>) -> bool {
        let Some(kind) = resource::find(desired.resource_type) else {
            return false;
        };
        // A failed resource stays failed; resources in progress are checked
        // first.
        if let Some(part) = self.parts.current(desired.parent, desired.name)
            && part.resource_type == desired.resource_type
            && let Some(slot) = self.parts.slot(&part.id)
        {
            if self.failed_now(part) {
                return false;
            }
            if part.status == Status::InProgress {
                if let Some(props) = self.overtaken(model, desired, kind, part) {
                    return self.step_leaf(desired, kind, props);
                }
                let rebuild = part.data.rebuild.is_some();
                let effect = if rebuild {
                    Effect::Rebuild
                } else {
                    Effect::Check
                };
                self.act(slot, effect);
                if !self.is_complete(slot) {
                    return false;
                }
            }
        }
        match resolve(
            &model.bound,
            kind.schema,
            desired.properties,
            self,
            desired.variable,
        ) {
            Ok(props) => self.step_leaf(desired, kind, props),
            Err(why) => {
                self.fail_desired(desired, &why);
                false
            }
        }
    }

    /// The new properties of a resource that is only waiting, if the template
    /// has changed them: it must not wait for an outdated target. Work of
    /// another service has to end first.
    fn overtaken(
        &self,
        model: &Model,
        desired: &DesiredResource<'_>,
        kind: Type,
        part: &ResourceRow,
    ) -> Option<Map<String, Value>> {
        if !matches!(kind.role, Role::Local(_)) {
            return None;
        }
        let props = resolve(
            &model.bound,
            kind.schema,
            desired.properties,
            self,
            desired.variable,
        )
        .ok()?;
        let changed = kind.schema.changes(&part.props, &props);
        let updatable = changed.iter().all(|name| kind.schema.can_update(name));
        (!changed.is_empty() && updatable).then_some(props)
    }

    /// Unresolvable properties fail the resource.
    pub(super) fn fail_desired(&mut self, desired: &DesiredResource<'_>, why: &str) {
        let existing = self.slot_of(desired);
        let update = existing.is_some();
        let slot = existing.unwrap_or_else(|| self.add(desired.seed(Map::new(), None)));
        if let Some(part) = self.parts.at(slot) {
            let reason = format!("StackValidationFailed: {}: {why}", self.path(part));
            self.change(slot, |p| {
                if update {
                    p.action = Action::Update;
                } else {
                    // Nothing was created under this id.
                    p.physical_id = None;
                }
                p.status = Status::Failed;
                p.reason = reason;
            });
        }
    }

    pub(super) fn slot_of(&self, desired: &DesiredResource<'_>) -> Option<Slot> {
        let part = self.parts.current(desired.parent, desired.name)?;
        self.parts.slot(&part.id)
    }

    fn step_leaf(
        &mut self,
        desired: &DesiredResource<'_>,
        kind: Type,
        props: Map<String, Value>,
    ) -> bool {
        let slot = self.slot_of(desired);
        let Some((slot, part)) = slot.and_then(|p| Some((p, self.parts.at(p)?))) else {
            let slot = self.add(desired.seed(props, None));
            return self.begin(slot, Effect::Create);
        };
        let changed = kind.schema.changes(&part.props, &props);
        let unhealthy = part.data.unhealthy;
        let is_rebuilt = |name: &str| unhealthy && kind.schema.rebuilds == Some(name);
        let in_place = part.resource_type == desired.resource_type
            && changed
                .iter()
                .all(|name| kind.schema.can_update(name) || is_rebuilt(name));
        let rebuild = unhealthy && kind.schema.rebuilds.is_some();
        if !in_place || part.physical_id.is_none() || unhealthy && !rebuild {
            return self.replace(desired, slot, props);
        }
        if part.status == Status::Complete && changed.is_empty() {
            self.update_requires(desired, slot);
            return true;
        }
        // A previously failed resource is checked, whatever changed.
        let reviving = part.status == Status::Failed && !rebuild;
        let epoch = self.epoch;
        self.change(slot, |p| {
            p.action = Action::Update;
            p.status = Status::InProgress;
            if !rebuild {
                p.reason = "state changed".into();
            }
            p.props = props;
            p.requires = desired.requires.to_vec();
            p.data.reviving = reviving;
            p.data.unhealthy = false;
            p.data.rebuild = rebuild.then_some(epoch);
        });
        self.begin(
            slot,
            if rebuild {
                Effect::Rebuild
            } else {
                Effect::Check
            },
        )
    }

    fn begin(&mut self, slot: Slot, effect: Effect) -> bool {
        self.act(slot, effect);
        self.is_complete(slot)
    }

    /// The replacement is created first; the old resource is removed when
    /// everything is complete.
    fn replace(
        &mut self,
        desired: &DesiredResource<'_>,
        old: Slot,
        props: Map<String, Value>,
    ) -> bool {
        self.change(old, |p| p.to_remove = true);
        let id = self.parts.at(old).map(|p| p.id.clone());
        let slot = self.add(desired.seed(props, id));
        self.begin(slot, Effect::Create)
    }

    /// Adapts the order of removal to the current template.
    pub(super) fn update_requires(&mut self, desired: &DesiredResource<'_>, slot: Slot) {
        let stale = self
            .parts
            .at(slot)
            .is_some_and(|p| p.requires != desired.requires || p.retain != desired.retain);
        if stale {
            self.change(slot, |p| {
                p.requires = desired.requires.to_vec();
                p.retain = desired.retain;
            });
        }
    }

    /// Outputs of a finished stack; a failed output is null.
    pub(super) fn outputs(&self) -> std::collections::BTreeMap<String, Value> {
        let Some(model) = &self.model else {
            return std::collections::BTreeMap::new();
        };
        let bound = &model.bound;
        let root = Path::root("outputs");
        let outputs = bound.template.outputs.iter();
        outputs
            .map(|(name, output)| {
                let value = bound
                    .shows(name)
                    .then(|| bound.eval(&output.value, &root.key(name), self));
                (
                    name.clone(),
                    value.and_then(Result::ok).flatten().unwrap_or_default(),
                )
            })
            .collect()
    }
}

impl DesiredResource<'_> {
    pub(super) fn seed(&self, props: Map<String, Value>, replaces: Option<String>) -> Seed {
        Seed {
            name: self.name.to_owned(),
            parent: self.parent.map(str::to_owned),
            resource_type: self.resource_type.to_owned(),
            props,
            requires: self.requires.to_vec(),
            replaces,
            retain: self.retain,
        }
    }
}
