//! The way forward: brings each resource of the template to what it should
//! be, as soon as everything that it needs is there.
//!
//! A queue holds what a step may bring further: a resource enters it when its
//! last need is settled and when an effect of it comes back. Nothing else is
//! looked at.

use std::collections::{BTreeSet, HashMap};

use lang::hot::Variable;
use lang::{Node, Path};
use serde_json::{Map, Value};

use super::graph::Graph;
use super::group::GroupRun;
use super::parts::Place;
use super::world::{Effect, Model, Seed, World};
use crate::face::{Action, Status};
use crate::resource::{self, Role, Type};
use crate::stack::{Part, resolve};

/// A resource of the graph by number, and which of its members: 0 is the
/// resource itself, member `i` of a group is `i + 1`.
type Step = (usize, usize);

/// How far the resources of the template are.
#[derive(Default)]
pub(super) struct Forward {
    /// Needs of each resource that are not settled.
    missing: Vec<usize>,
    /// Found as wanted: nothing that it depends on changes in this traversal.
    settled: Vec<bool>,
    left: usize,
    pub(super) queue: BTreeSet<Step>,
    /// Steps that were taken.
    pub(super) steps: usize,
    /// Groups that were stepped, by number.
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

/// A resource as the template wants it.
pub(super) struct Wish<'a> {
    pub name: &'a str,
    pub parent: Option<&'a str>,
    pub resource_type: &'a str,
    pub properties: &'a Node,
    pub variable: Option<Variable<'a>>,
    pub requires: &'a [String],
    pub retain: bool,
}

impl World {
    /// Takes every step that is ready; answers whether everything is as wanted.
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

    /// Has a resource of the template looked at by the next [`World::forward`].
    pub(super) fn queue_forward(&mut self, place: Place) {
        let Some(model) = self.model.clone() else {
            return;
        };
        let Some(part) = self.parts.at(place) else {
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
        let wish = Wish {
            name,
            parent: None,
            resource_type: &def.resource_type,
            properties: &def.properties,
            variable: None,
            requires: &requires,
            retain: def.retain,
        };
        let group =
            resource::find(wish.resource_type).filter(|kind| matches!(kind.role, Role::Group));
        if let Some(kind) = group {
            self.step_group(model, number, &wish, kind);
        } else if self.step(model, &wish) {
            self.forward.settle(&model.graph, number);
        }
    }

    /// Row ids of what a resource needs.
    pub(super) fn requires(&self, graph: &Graph, number: usize) -> Vec<String> {
        let needs = graph.needs(number).iter();
        needs
            .filter_map(|n| self.parts.current(None, graph.name(*n)))
            .map(|p| p.id.clone())
            .collect()
    }

    /// One resource, one step; answers whether it is as wanted.
    pub(super) fn step(&mut self, model: &Model, wish: &Wish<'_>) -> bool {
        let Some(kind) = resource::find(wish.resource_type) else {
            return false;
        };
        // What has failed now stays so; what is on its way is looked at first.
        if let Some(part) = self.parts.current(wish.parent, wish.name)
            && part.resource_type == wish.resource_type
            && let Some(place) = self.parts.place(&part.id)
        {
            if self.failed_now(part) {
                return false;
            }
            if part.status == Status::InProgress {
                if let Some(props) = self.overtaken(model, wish, kind, part) {
                    return self.step_leaf(wish, kind, props);
                }
                let rebuild = part.data.rebuild.is_some();
                let effect = if rebuild {
                    Effect::Rebuild
                } else {
                    Effect::Check
                };
                self.act(place, effect);
                if !self.is_complete(place) {
                    return false;
                }
            }
        }
        match resolve(
            &model.bound,
            kind.schema,
            wish.properties,
            self,
            wish.variable,
        ) {
            Ok(props) => self.step_leaf(wish, kind, props),
            Err(why) => {
                self.broken(wish, &why);
                false
            }
        }
    }

    /// The new properties of a resource that only waits, where the template
    /// has changed them meanwhile: it would wait for what nobody wants any
    /// more. What another service works on has to end first.
    fn overtaken(
        &self,
        model: &Model,
        wish: &Wish<'_>,
        kind: Type,
        part: &Part,
    ) -> Option<Map<String, Value>> {
        if !matches!(kind.role, Role::Local(_)) {
            return None;
        }
        let props = resolve(
            &model.bound,
            kind.schema,
            wish.properties,
            self,
            wish.variable,
        )
        .ok()?;
        let changed = kind.schema.changes(&part.props, &props);
        let updatable = changed.iter().all(|name| kind.schema.can_update(name));
        (!changed.is_empty() && updatable).then_some(props)
    }

    /// Properties that cannot be resolved are the failure of the resource.
    pub(super) fn broken(&mut self, wish: &Wish<'_>, why: &str) {
        let existing = self.place_of(wish);
        let update = existing.is_some();
        let place = existing.unwrap_or_else(|| self.add(wish.seed(Map::new(), None)));
        if let Some(part) = self.parts.at(place) {
            let reason = format!("StackValidationFailed: {}: {why}", self.path(part));
            self.change(place, |p| {
                if update {
                    p.action = Action::Update;
                } else {
                    // Nothing was made under this id.
                    p.physical_id = None;
                }
                p.status = Status::Failed;
                p.reason = reason;
            });
        }
    }

    pub(super) fn place_of(&self, wish: &Wish<'_>) -> Option<Place> {
        let part = self.parts.current(wish.parent, wish.name)?;
        self.parts.place(&part.id)
    }

    fn step_leaf(&mut self, wish: &Wish<'_>, kind: Type, props: Map<String, Value>) -> bool {
        let place = self.place_of(wish);
        let Some((place, part)) = place.and_then(|p| Some((p, self.parts.at(p)?))) else {
            let place = self.add(wish.seed(props, None));
            return self.begin(place, Effect::Create);
        };
        let changed = kind.schema.changes(&part.props, &props);
        let unhealthy = part.data.unhealthy;
        let made_anew = |name: &str| unhealthy && kind.schema.rebuilds == Some(name);
        let in_place = part.resource_type == wish.resource_type
            && changed
                .iter()
                .all(|name| kind.schema.can_update(name) || made_anew(name));
        let rebuild = unhealthy && kind.schema.rebuilds.is_some();
        if !in_place || part.physical_id.is_none() || unhealthy && !rebuild {
            return self.replace(wish, place, props);
        }
        if part.status == Status::Complete && changed.is_empty() {
            self.relink(wish, place);
            return true;
        }
        // A resource that failed before is looked at, whatever changed.
        let reviving = part.status == Status::Failed && !rebuild;
        let epoch = self.epoch;
        self.change(place, |p| {
            p.action = Action::Update;
            p.status = Status::InProgress;
            if !rebuild {
                p.reason = "state changed".into();
            }
            p.props = props;
            p.requires = wish.requires.to_vec();
            p.data.reviving = reviving;
            p.data.unhealthy = false;
            p.data.rebuild = rebuild.then_some(epoch);
        });
        self.begin(
            place,
            if rebuild {
                Effect::Rebuild
            } else {
                Effect::Check
            },
        )
    }

    fn begin(&mut self, place: Place, effect: Effect) -> bool {
        self.act(place, effect);
        self.is_complete(place)
    }

    /// The new one is made first; the old one goes when everything is in place.
    fn replace(&mut self, wish: &Wish<'_>, old: Place, props: Map<String, Value>) -> bool {
        self.change(old, |p| p.doomed = true);
        let id = self.parts.at(old).map(|p| p.id.clone());
        let place = self.add(wish.seed(props, id));
        self.begin(place, Effect::Create)
    }

    /// Keeps the order of removal true to the present template.
    pub(super) fn relink(&mut self, wish: &Wish<'_>, place: Place) {
        let stale = self
            .parts
            .at(place)
            .is_some_and(|p| p.requires != wish.requires || p.retain != wish.retain);
        if stale {
            self.change(place, |p| {
                p.requires = wish.requires.to_vec();
                p.retain = wish.retain;
            });
        }
    }

    /// Outputs of a finished stack; one that fails is null.
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

impl Wish<'_> {
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
