//! Forward pass: moves each resource of the template to its desired state as
//! soon as its dependencies are complete.

use super::desired::DesiredResource;
use super::stack_state::{Model, StackState};
use crate::resource::{self, Role};

impl StackState {
    /// Performs all steps that are ready; returns whether everything is as
    /// desired.
    pub(super) fn forward(&mut self) -> bool {
        let Some(model) = self.model.clone() else {
            return false;
        };
        while let Some((number, member)) = self.forward.next_step() {
            match member.checked_sub(1) {
                None => self.step_resource(&model, number),
                Some(i) => self.step_member(&model, number, i),
            }
        }
        self.forward.is_complete()
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
}
