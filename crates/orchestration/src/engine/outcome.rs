//! What an effect that came back means for its resource.

use serde_json::{Map, Value};

use super::parts::Place;
use super::world::{Waiting, Wake, World};
use crate::face::Status;
use crate::resource::{Progress, Removal, Trouble};

impl World {
    /// A create, check, rebuild or update came back.
    pub(super) fn progressed(&mut self, place: Place, result: Result<Progress, Trouble>) {
        self.in_flight.remove(&place);
        self.waits.remove(&place);
        match result {
            Ok(Progress::Done(attrs)) => self.completed(place, attrs),
            Ok(Progress::Wait { reason, until }) => {
                let rebuilding = |p: &crate::stack::Part| p.data.rebuild.is_some();
                if self.parts.at(place).is_some_and(rebuilding) {
                    // The call was taken: from now on it is only looked at.
                    self.change(place, |p| p.data.rebuild = None);
                }
                self.waits_for(place, reason, until.map_or(Wake::Event, Wake::Until));
            }
            Err(Trouble::Later(why)) => self.retries(place, &why),
            Err(Trouble::Failed { class, message }) => {
                let Some(part) = self.parts.at(place) else {
                    return;
                };
                let reason = format!("{class}: {}: {message}", self.path(part));
                // It had its second chance, or is nowhere to be rebuilt:
                // another takes its place.
                let lost = part.data.rebuild.is_some() && class == "NotFound";
                let replaced = part.data.reviving || lost;
                self.change(place, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                    p.data.reviving = false;
                    p.data.rebuild = None;
                    p.doomed |= replaced;
                });
            }
        }
    }

    fn completed(&mut self, place: Place, attrs: Map<String, Value>) {
        self.change(place, |p| {
            p.status = Status::Complete;
            p.reason = "state changed".into();
            p.attrs = attrs;
            p.data.reviving = false;
            p.data.rebuild = None;
        });
    }

    /// Nothing has changed since the resource was last looked at.
    pub(super) fn go_on(&mut self, place: Place) {
        if let Some(part) = self.parts.at(place) {
            let (reason, wake) = (part.reason.clone(), Wake::Event);
            self.waits.insert(place, Waiting { reason, wake });
        }
    }

    fn retries(&mut self, place: Place, why: &str) {
        self.waits_for(place, format!("{why} (trying again)"), Wake::Retry);
    }

    fn waits_for(&mut self, place: Place, reason: String, wake: Wake) {
        if self.parts.at(place).is_some_and(|p| p.reason != reason) {
            self.change(place, |p| p.reason.clone_from(&reason));
        }
        self.waits.insert(place, Waiting { reason, wake });
    }

    /// A delete came back.
    pub(super) fn removed(&mut self, place: Place, result: Result<Removal, Trouble>) {
        self.in_flight.remove(&place);
        self.waits.remove(&place);
        match result {
            Ok(Removal::Gone) => self.remove(place),
            Ok(Removal::Wait(reason)) => self.waits_for(place, reason, Wake::Event),
            Err(Trouble::Later(why)) => self.retries(place, &why),
            Err(Trouble::Failed { class, message }) => {
                let Some(part) = self.parts.at(place) else {
                    return;
                };
                let reason = format!("{class}: {}: {message}", self.path(part));
                self.change(place, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                });
            }
        }
    }
}
