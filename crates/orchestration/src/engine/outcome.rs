//! What an effect that came back means for its resource.

use serde_json::{Map, Value};

use super::world::{Waiting, World};
use crate::face::Status;
use crate::resource::{Progress, Removal, Trouble};

impl World {
    /// A create, check or update came back.
    pub(super) fn progressed(&mut self, id: &str, result: Result<Progress, Trouble>) {
        self.flying.remove(id);
        self.waits.remove(id);
        match result {
            Ok(Progress::Done(attrs)) => self.completed(id, attrs),
            Ok(Progress::Wait {
                reason,
                poll,
                until,
            }) => self.waits_for(id, reason, poll, until),
            Err(Trouble::Later(why)) => {
                self.waits_for(id, format!("{why} (trying again)"), true, None)
            }
            Err(Trouble::Failed { class, message }) => {
                let Some(part) = self.part(id) else { return };
                let reason = format!("{class}: {}: {message}", self.path(part));
                let reviving = part.data.reviving;
                self.change(id, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                    p.data.reviving = false;
                    // It had its second chance: another takes its place.
                    p.doomed = p.doomed || reviving;
                });
            }
        }
    }

    fn completed(&mut self, id: &str, attrs: Map<String, Value>) {
        self.change(id, |p| {
            p.status = Status::Complete;
            p.reason = "state changed".into();
            p.attrs = attrs;
            p.data.reviving = false;
        });
    }

    fn waits_for(&mut self, id: &str, reason: String, poll: bool, until: Option<i64>) {
        if self.part(id).is_some_and(|p| p.reason != reason) {
            self.change(id, |p| p.reason.clone_from(&reason));
        }
        self.waits.insert(
            id.to_owned(),
            Waiting {
                reason,
                poll,
                until,
            },
        );
    }

    /// A delete came back.
    pub(super) fn removed(&mut self, id: &str, result: Result<Removal, Trouble>) {
        self.flying.remove(id);
        self.waits.remove(id);
        match result {
            Ok(Removal::Gone) => self.remove(id),
            Ok(Removal::Wait(reason)) => self.waits_for(id, reason, true, None),
            Err(Trouble::Later(why)) => {
                self.waits_for(id, format!("{why} (trying again)"), true, None)
            }
            Err(Trouble::Failed { class, message }) => {
                let Some(part) = self.part(id) else { return };
                let reason = format!("{class}: {}: {message}", self.path(part));
                self.change(id, |p| {
                    p.status = Status::Failed;
                    p.reason = reason;
                });
            }
        }
    }
}
