//! Groups of the template: which members each should have, and bringing them
//! there side by side.

use std::collections::{BTreeSet, HashMap};

use lang::Node;
use lang::hot::Variable;
use serde_json::{Map, Value};

use super::forward::Wish;
use super::graph::Graph;
use super::parts::Place;
use super::world::{Model, World};
use crate::face::{Action, Status};
use crate::resource::{GroupProps, Type};
use crate::stack::{Part, resolve};

/// A group whose members are being brought to what they should be.
pub(super) struct GroupRun {
    place: Place,
    names: Vec<String>,
    pub numbers: HashMap<String, usize>,
    settled: Vec<bool>,
    left: usize,
    index_var: String,
    /// Whether the group itself has been set IN_PROGRESS, or was.
    begun: bool,
}

impl World {
    /// Whether a group that is not doomed should have this member; `None` before
    /// the group was looked at.
    pub(super) fn wants_member(&self, group: &Part, member: &str) -> Option<bool> {
        let number = self.model.as_ref()?.graph.number(&group.name)?;
        let run = self.forward.groups.get(&number)?;
        Some(run.numbers.contains_key(member))
    }

    /// Decides once per traversal and load which members a group has, and
    /// queues them.
    pub(super) fn step_group(&mut self, model: &Model, number: usize, wish: &Wish<'_>, kind: Type) {
        if self.forward.groups.contains_key(&number) {
            return;
        }
        if let Some(part) = self.parts.current(None, wish.name)
            && part.resource_type == wish.resource_type
            && self.failed_now(part)
        {
            return;
        }
        let props = match resolve(&model.bound, kind.schema, wish.properties, self, None) {
            Ok(props) => props,
            Err(why) => return self.broken(wish, &why),
        };
        let existing = self
            .place_of(wish)
            .and_then(|p| Some((p, self.parts.at(p)?)));
        let place = match existing {
            Some((old, part)) if part.resource_type != wish.resource_type => {
                let id = part.id.clone();
                self.change(old, |p| p.doomed = true);
                self.add(wish.seed(props.clone(), Some(id)))
            }
            Some((place, _)) => place,
            None => self.add(wish.seed(props.clone(), None)),
        };
        let Some(group) = self.parts.at(place) else {
            return;
        };
        let blacklist = self.blacklist(group, &props);
        let names = GroupProps(&props).names(&blacklist);
        let differs = !kind.schema.changes(&group.props, &props).is_empty()
            || group.data.blacklist != blacklist;
        let begun = group.status == Status::InProgress;
        let index_var = props.get("index_var").and_then(Value::as_str);
        let run = GroupRun {
            place,
            numbers: names.iter().cloned().zip(0..).collect(),
            settled: vec![false; names.len()],
            left: names.len(),
            index_var: index_var.unwrap_or("%index%").to_owned(),
            begun: begun || differs,
            names,
        };
        let steps = (1..=run.names.len()).map(|i| (number, i));
        self.forward.queue.extend(steps);
        let empty = run.left == 0;
        self.forward.groups.insert(number, run);
        if differs {
            self.change(place, |p| {
                p.start_group(begun);
                p.props = props;
                p.data.blacklist = blacklist;
                p.requires = wish.requires.to_vec();
            });
        }
        if empty {
            self.finish_group(&model.graph, number, wish);
        }
    }

    /// One member, which evaluates the definition for its index.
    pub(super) fn step_member(&mut self, model: &Model, number: usize, member: usize) {
        let name = model.graph.name(number);
        let Some(run) = self.forward.groups.get(&number) else {
            return;
        };
        if run.settled[member] {
            return;
        }
        let (place, begun) = (run.place, run.begun);
        let (index, index_var) = (run.names[member].clone(), run.index_var.clone());
        let parent = self.parts.at(place).map(|g| g.id.clone());
        let template = model.bound.template.resources.get(name);
        let (Some(parent), Some(template)) = (parent, template) else {
            return;
        };
        let null = Node::default();
        let Some(def) = template.properties.get("resource_def") else {
            return;
        };
        let variable = Variable {
            name: &index_var,
            value: &index,
        };
        let kind = def.get("type").and_then(Node::as_text).unwrap_or_default();
        let kind = variable.substitute(kind);
        let requires = self.requires(&model.graph, number);
        let wish = Wish {
            name: &index,
            parent: Some(&parent),
            resource_type: &kind,
            properties: def.get("properties").unwrap_or(&null),
            variable: Some(variable),
            requires: &requires,
            retain: template.retain,
        };
        let done = self.step(model, &wish);
        if !done && !begun {
            self.change(place, |p| p.start_group(false));
        }
        let Some(run) = self.forward.groups.get_mut(&number) else {
            return;
        };
        if !done {
            run.begun = true;
            return;
        }
        run.settled[member] = true;
        run.left -= 1;
        if run.left == 0 {
            let wish = Wish {
                name,
                parent: None,
                ..wish
            };
            self.finish_group(&model.graph, number, &wish);
        }
    }

    fn finish_group(&mut self, graph: &Graph, number: usize, wish: &Wish<'_>) {
        let Some(place) = self.forward.groups.get(&number).map(|run| run.place) else {
            return;
        };
        if !self.is_complete(place) {
            self.change(place, |p| {
                p.status = Status::Complete;
                p.reason = "state changed".into();
            });
        }
        self.relink(wish, place);
        self.forward.settle(graph, number);
    }

    fn blacklist(&self, group: &Part, props: &Map<String, Value>) -> BTreeSet<String> {
        // What a word of a removal policy may mean: a member's index, its
        // name or its physical id.
        let mut meanings: HashMap<&str, Vec<&str>> = HashMap::new();
        for (_, p) in self.parts.members(&group.id) {
            let named = p.attrs.get("name").or_else(|| p.props.get("name"));
            let words = [
                Some(p.name.as_str()),
                p.physical_id.as_deref(),
                named.and_then(Value::as_str),
            ];
            for word in words.into_iter().flatten() {
                meanings.entry(word).or_default().push(&p.name);
            }
        }
        GroupProps(props).blacklist(&group.data.blacklist, &meanings)
    }
}

impl Part {
    /// A group works as long as its members do.
    fn start_group(&mut self, begun: bool) {
        if !begun {
            self.action = Action::Update;
            self.status = Status::InProgress;
            self.reason = "state changed".into();
        }
    }
}
