//! Groups of the template: determines the desired members and reconciles them
//! in parallel.

use std::collections::{BTreeSet, HashMap};

use lang::Node;
use lang::hot::Variable;
use serde_json::{Map, Value};

use super::desired::DesiredResource;
use super::graph::Graph;
use super::group_run::GroupRun;
use super::stack_state::{Model, StackState};
use crate::api::{Action, Status};
use crate::resource::{GroupProps, Type};
use crate::stack::{ResourceRow, resolve};

impl StackState {
    /// Determines the members of a group and queues them, unless they were queued
    /// before.
    pub(super) fn step_group(
        &mut self,
        model: &Model,
        number: usize,
        desired: &DesiredResource<'_>,
        kind: Type,
    ) {
        if self.forward.group(number).is_some() {
            return;
        }
        if let Some(resource) = self.resources.current(None, desired.name)
            && resource.resource_type == desired.resource_type
            && self.failed_now(resource)
        {
            return;
        }
        let props = match resolve(&model.bound, kind.schema, desired.properties, self, None) {
            Ok(props) => props,
            Err(why) => return self.fail_desired(desired, &why),
        };
        let existing = self
            .slot_of(desired)
            .and_then(|p| Some((p, self.resources.at(p)?)));
        let slot = match existing {
            Some((old, resource)) if resource.resource_type != desired.resource_type => {
                let id = resource.id.clone();
                self.change(old, |p| p.to_remove = true);
                self.add(desired.new_resource(props.clone(), Some(id)))
            }
            Some((slot, _)) => slot,
            None => self.add(desired.new_resource(props.clone(), None)),
        };
        let Some(group) = self.resources.at(slot) else {
            return;
        };
        let blacklist = self.blacklist(group, &props);
        let names = GroupProps(&props).names(&blacklist);
        let differs = !kind.schema.changes(&group.props, &props).is_empty()
            || group.data.blacklist != blacklist;
        let begun = group.status == Status::InProgress;
        let index_var = props.get("index_var").and_then(Value::as_str);
        let index_var = index_var.unwrap_or("%index%").to_owned();
        let run = GroupRun::new(slot, names, index_var, begun || differs);
        let empty = run.is_complete();
        self.forward.add_group(number, run);
        if differs {
            self.change(slot, |p| {
                p.start_group(begun);
                p.props = props;
                p.data.blacklist = blacklist;
                p.requires = desired.requires.to_vec();
            });
        }
        if empty {
            self.finish_group(&model.graph, number, desired);
        }
    }

    /// Performs one step of a member. The definition of the group is evaluated with
    /// the index of the member.
    pub(super) fn step_member(&mut self, model: &Model, number: usize, member: usize) {
        let name = model.graph.name(number);
        let Some(run) = self.forward.group(number) else {
            return;
        };
        if run.is_settled(member) {
            return;
        }
        let (slot, begun) = (run.slot, run.begun);
        let (index, index_var) = (run.name(member).to_owned(), run.index_var.clone());
        let parent = self.resources.at(slot).map(|g| g.id.clone());
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
        let desired = DesiredResource {
            name: &index,
            parent: Some(&parent),
            resource_type: &kind,
            properties: def.get("properties").unwrap_or(&null),
            variable: Some(variable),
            requires: &requires,
            retain: template.retain,
        };
        let done = self.step(model, &desired);
        if !done && !begun {
            self.change(slot, |p| p.start_group(false));
        }
        let Some(run) = self.forward.group_mut(number) else {
            return;
        };
        if !done {
            run.begun = true;
            return;
        }
        run.settle(member);
        if run.is_complete() {
            let desired = DesiredResource {
                name,
                parent: None,
                ..desired
            };
            self.finish_group(&model.graph, number, &desired);
        }
    }

    fn finish_group(&mut self, graph: &Graph, number: usize, desired: &DesiredResource<'_>) {
        let Some(slot) = self.forward.group(number).map(|run| run.slot) else {
            return;
        };
        if !self.is_complete(slot) {
            self.change(slot, |p| {
                p.status = Status::Complete;
                p.reason = "state changed".into();
            });
        }
        self.update_requires(desired, slot);
        self.forward.settle(graph, number);
    }

    fn blacklist(&self, group: &ResourceRow, props: &Map<String, Value>) -> BTreeSet<String> {
        // An entry of a removal policy may be the index, the name or the
        // physical id of a member.
        let mut meanings: HashMap<&str, Vec<&str>> = HashMap::new();
        for (_, p) in self.resources.members(&group.id) {
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

impl ResourceRow {
    /// Sets a group IN_PROGRESS, unless it is already, because one of its members is
    /// in progress.
    fn start_group(&mut self, begun: bool) {
        if !begun {
            self.action = Action::Update;
            self.status = Status::InProgress;
            self.reason = "state changed".into();
        }
    }
}
