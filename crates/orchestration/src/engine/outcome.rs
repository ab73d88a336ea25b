//! Applies the result of an effect to its resource.

use serde_json::{Map, Value};

use super::resource_index::Slot;
use super::stack_state::StackState;
use super::waiting::{Waiting, Wake};
use crate::api::Status;
use crate::resource::{Progress, Removal, StepError};

impl StackState {
    /// Handles the result of a create, check, rebuild or update.
    pub(super) fn apply_progress(&mut self, slot: Slot, result: Result<Progress, StepError>) {
        self.in_flight.remove(&slot);
        self.waits.remove(&slot);
        match result {
            Ok(Progress::Done(attrs)) => self.completed(slot, attrs),
            Ok(Progress::Wait { reason, until }) => {
                let rebuilding = |p: &crate::stack::ResourceRow| p.data.rebuild.is_some();
                if self.resources.at(slot).is_some_and(rebuilding) {
                    // The call was accepted, so from now on only its progress
                    // is checked.
                    self.change(slot, |p| p.data.rebuild = None);
                }
                self.waits_for(slot, reason, until.map_or(Wake::Event, Wake::Until));
            }
            Err(StepError::Later(why)) => self.schedule_retry(slot, &why),
            Err(StepError::Failed { class, message }) => {
                let Some(resource) = self.resources.at(slot) else {
                    return;
                };
                let reason = format!("{class}: {}: {message}", self.path(resource));
                // The resource is replaced if its retry has failed, too, or if
                // the object to rebuild does not exist.
                let lost = resource.data.rebuild.is_some() && class == "NotFound";
                let replaced = resource.data.reviving || lost;
                self.change(slot, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                    p.data.reviving = false;
                    p.data.rebuild = None;
                    p.to_remove |= replaced;
                });
            }
        }
    }

    fn completed(&mut self, slot: Slot, attrs: Map<String, Value>) {
        self.change(slot, |p| {
            p.status = Status::Complete;
            p.reason = "state changed".into();
            p.attrs = attrs;
            p.data.reviving = false;
            p.data.rebuild = None;
        });
    }

    fn schedule_retry(&mut self, slot: Slot, why: &str) {
        self.waits_for(slot, format!("{why} (trying again)"), Wake::Retry);
    }

    fn waits_for(&mut self, slot: Slot, reason: String, wake: Wake) {
        if self.resources.at(slot).is_some_and(|p| p.reason != reason) {
            self.change(slot, |p| p.reason.clone_from(&reason));
        }
        self.waits.insert(slot, Waiting { reason, wake });
    }

    /// Handles the result of a delete.
    pub(super) fn removed(&mut self, slot: Slot, result: Result<Removal, StepError>) {
        self.in_flight.remove(&slot);
        self.waits.remove(&slot);
        match result {
            Ok(Removal::Gone) => self.remove(slot),
            Ok(Removal::Wait(reason)) => self.waits_for(slot, reason, Wake::Event),
            Err(StepError::Later(why)) => self.schedule_retry(slot, &why),
            Err(StepError::Failed { class, message }) => {
                let Some(resource) = self.resources.at(slot) else {
                    return;
                };
                let reason = format!("{class}: {}: {message}", self.path(resource));
                self.change(slot, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                });
            }
        }
    }
}
