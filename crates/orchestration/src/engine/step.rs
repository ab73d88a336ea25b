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
}
