//! The desired state of a resource or of the member of a group.

use lang::Node;
use lang::hot::Variable;
use serde_json::{Map, Value};

use super::graph::Graph;
use super::resource_changes::NewResource;
use super::resource_index::Slot;
use super::stack_state::StackState;
use crate::ResourceId;

/// The desired state of a resource.
pub(super) struct DesiredResource<'a> {
    pub name: &'a str,
    pub parent: Option<&'a ResourceId>,
    pub resource_type: &'a str,
    pub properties: &'a Node,
    pub variable: Option<Variable<'a>>,
    pub requires: &'a [ResourceId],
    pub retain: bool,
}

impl DesiredResource<'_> {
    /// A new resource with this desired state.
    pub(super) fn new_resource(
        &self,
        props: Map<String, Value>,
        replaces: Option<ResourceId>,
    ) -> NewResource {
        NewResource {
            name: self.name.to_owned(),
            parent: self.parent.cloned(),
            resource_type: self.resource_type.to_owned(),
            props,
            requires: self.requires.to_vec(),
            replaces,
            retain: self.retain,
        }
    }
}

impl StackState {
    /// The current resource with the desired name.
    pub(super) fn slot_of(&self, desired: &DesiredResource<'_>) -> Option<Slot> {
        let resource = self.resources.current(desired.parent, desired.name)?;
        self.resources.slot(&resource.id)
    }

    /// Row ids of the dependencies of a resource.
    pub(super) fn requires(&self, graph: &Graph, number: usize) -> Vec<ResourceId> {
        let needs = graph.needs(number).iter();
        needs
            .filter_map(|n| self.resources.current(None, graph.name(*n)))
            .map(|p| p.id.clone())
            .collect()
    }

    /// Adopts the dependencies and the deletion policy of the current template,
    /// which determine the order of removal.
    pub(super) fn update_requires(&mut self, desired: &DesiredResource<'_>, slot: Slot) {
        let stale = self
            .resources
            .at(slot)
            .is_some_and(|p| p.requires != desired.requires || p.retain != desired.retain);
        if stale {
            self.change(slot, |p| {
                p.requires = desired.requires.to_vec();
                p.retain = desired.retain;
            });
        }
    }
}
