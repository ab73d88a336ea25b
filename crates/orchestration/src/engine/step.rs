//! One step of one resource towards its desired state.

use serde_json::{Map, Value};

use super::desired::DesiredResource;
use super::effect::Effect;
use super::resource_index::Slot;
use super::stack_state::{Model, StackState};
use crate::api::{Action, Status};
use crate::resource::{self, Role, Type};
use crate::stack::{ResourceRow, resolve};

impl StackState {
    /// Performs one step of one resource; returns whether it is as desired.
    pub(super) fn step(&mut self, model: &Model, desired: &DesiredResource<'_>) -> bool {
        let Some(kind) = resource::find(desired.resource_type) else {
            return false;
        };
        // A resource that failed in this action stays failed. A resource in
        // progress is checked first.
        if let Some(resource) = self.resources.current(desired.parent, desired.name)
            && resource.resource_type == desired.resource_type
            && let Some(slot) = self.resources.slot(&resource.id)
        {
            if self.failed_now(resource) {
                return false;
            }
            if resource.status == Status::InProgress {
                if let Some(props) = self.changed_while_waiting(model, desired, kind, resource) {
                    return self.step_resolved(desired, kind, props);
                }
                let rebuild = resource.data.rebuild.is_some();
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
            Ok(props) => self.step_resolved(desired, kind, props),
            Err(why) => {
                self.fail_desired(desired, &why);
                false
            }
        }
    }

    /// The new properties of a local resource in progress, if the template has
    /// changed them, so that it does not wait for an outdated target. The work of
    /// another service for a remote resource has to end first.
    fn changed_while_waiting(
        &self,
        model: &Model,
        desired: &DesiredResource<'_>,
        kind: Type,
        resource: &ResourceRow,
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
        let changed = kind.schema.changes(&resource.props, &props);
        let updatable = changed.iter().all(|name| kind.schema.can_update(name));
        (!changed.is_empty() && updatable).then_some(props)
    }

    /// Marks a resource as failed because its properties cannot be resolved.
    pub(super) fn fail_desired(&mut self, desired: &DesiredResource<'_>, why: &str) {
        let existing = self.slot_of(desired);
        let update = existing.is_some();
        let slot = existing.unwrap_or_else(|| self.add(desired.new_resource(Map::new(), None)));
        if let Some(resource) = self.resources.at(slot) {
            let reason = format!("StackValidationFailed: {}: {why}", self.path(resource));
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

    /// Performs a step of a resource with resolved properties.
    fn step_resolved(
        &mut self,
        desired: &DesiredResource<'_>,
        kind: Type,
        props: Map<String, Value>,
    ) -> bool {
        let slot = self.slot_of(desired);
        let Some((slot, resource)) = slot.and_then(|p| Some((p, self.resources.at(p)?))) else {
            let slot = self.add(desired.new_resource(props, None));
            return self.start_effect(slot, Effect::Create);
        };
        let changed = kind.schema.changes(&resource.props, &props);
        let unhealthy = resource.data.unhealthy;
        let is_rebuilt = |name: &str| unhealthy && kind.schema.rebuilds == Some(name);
        let in_place = resource.resource_type == desired.resource_type
            && changed
                .iter()
                .all(|name| kind.schema.can_update(name) || is_rebuilt(name));
        let rebuild = unhealthy && kind.schema.rebuilds.is_some();
        if !in_place || resource.physical_id.is_none() || unhealthy && !rebuild {
            return self.replace(desired, slot, props);
        }
        if resource.status == Status::Complete && changed.is_empty() {
            self.update_requires(desired, slot);
            return true;
        }
        // A resource that failed in an earlier action is checked even if its
        // properties have not changed.
        let reviving = resource.status == Status::Failed && !rebuild;
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
        self.start_effect(
            slot,
            if rebuild {
                Effect::Rebuild
            } else {
                Effect::Check
            },
        )
    }

    /// Starts an effect; returns whether the resource is complete.
    fn start_effect(&mut self, slot: Slot, effect: Effect) -> bool {
        self.act(slot, effect);
        self.is_complete(slot)
    }

    /// Creates a replacement. The old resource is removed when everything is
    /// complete.
    fn replace(
        &mut self,
        desired: &DesiredResource<'_>,
        old: Slot,
        props: Map<String, Value>,
    ) -> bool {
        self.change(old, |p| p.to_remove = true);
        let id = self.resources.at(old).map(|p| p.id.clone());
        let slot = self.add(desired.new_resource(props, id));
        self.start_effect(slot, Effect::Create)
    }
}
