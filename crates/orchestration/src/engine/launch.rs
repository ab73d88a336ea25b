//! Starts effects: local ones are performed immediately, remote ones after
//! their intent is committed.

use kernel::Ctx;

use super::effect::{Effect, PendingEffect};
use super::resource_index::Slot;
use super::stack_state::StackState;
use crate::resource::{Job, Role};
use crate::stack::ResourceRow;

impl StackState {
    /// Starts an effect of a resource, or performs it immediately if the type is
    /// local. In one run this happens only once for each resource.
    pub(super) fn act(&mut self, slot: Slot, effect: Effect) {
        if self.in_flight.contains(&slot) || !self.tried.insert(slot) {
            return;
        }
        let Some(resource) = self.resources.at(slot) else {
            return;
        };
        match Self::kind(resource).map(|t| t.role) {
            Some(Role::Local(local)) if effect != Effect::Delete => {
                let result = local.run(&self.job(resource), &self.signals);
                self.apply_progress(slot, result);
            }
            Some(Role::Remote(_)) => {
                self.in_flight.insert(slot);
                self.launches.push(PendingEffect { slot, effect });
            }
            _ => {}
        }
    }

    /// The inputs of the operations of a resource.
    pub(super) fn job(&self, resource: &ResourceRow) -> Job {
        let physical_id = resource.physical_id.clone().unwrap_or_default();
        let tail: String = resource
            .id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        let group = resource
            .parent
            .as_ref()
            .and_then(|id| self.resources.get(id));
        let inner = group.map_or_else(
            || resource.name.clone(),
            |g| format!("{}-{}", g.name, resource.name),
        );
        // A repeated rebuild has the same generation, so that the called service
        // recognises it.
        let generation = resource.data.rebuild.unwrap_or(self.epoch);
        let request_id = format!("req-{}", self.stack.id);
        Job {
            ctx: Ctx::for_project(request_id, &self.stack.project_id).with_generation(generation),
            project_id: self.stack.project_id.clone(),
            user_id: self.stack.user_id.clone(),
            owner: crate::api::owner_of_resources(&self.stack.id),
            physical_name: format!("{}-{inner}-{tail}", self.stack.name),
            physical_id,
            props: resource.props.clone(),
            action: resource.action,
            since: resource.started_at,
            stack_since: self.stack.started_at,
            now: self.now,
        }
    }
}
