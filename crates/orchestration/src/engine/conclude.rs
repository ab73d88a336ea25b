//! What the state of the resources means for the stack: the one place where
//! its status is decided.

use std::time::Duration;

use super::parts::Place;
use super::world::{Wake, World};
use crate::face::{Action, Status};
use crate::stack::{Part, action_word};

/// Between two tries of a step that is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The net below the events that wake a stack.
const RESYNC_INTERVAL: Duration = Duration::from_secs(15);

/// What the run does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The stack has ended what it does.
    Over,
    /// Nothing is left: the stack itself goes.
    Gone,
    /// A new aim (rollback): start over.
    Again,
    Wait(Duration),
}

impl World {
    /// Takes the steps that are ready; a verdict when there is nothing to
    /// wait for in this run.
    pub(super) fn decide(&mut self) -> Option<Verdict> {
        if self.blocked.is_some() {
            return Some(self.conclude(false, false));
        }
        let failed = !self.stack.emptying && self.first_failure().is_some();
        let late = self.now >= self.stack.deadline_at;
        // After a failure nothing new is started; what runs comes back first.
        let done = !self.stack.emptying && !late && !failed && self.forward();
        let clean = (done || self.stack.emptying) && !late && self.clean();
        let quiet = self.in_flight.is_empty();
        quiet.then(|| self.conclude(done, clean))
    }

    /// Called when no effect is under way and nothing more is ready.
    /// `done`: all resources are as wanted; `clean`: nothing is left to remove.
    fn conclude(&mut self, done: bool, clean: bool) -> Verdict {
        let failed = self.first_failure();
        let cleaning = done || self.stack.emptying;
        if let Some(cause) = &failed
            && !(cleaning && self.parts.removals_under_way())
        {
            return self.fail(cause.clone(), !done);
        }
        if cleaning && clean {
            return self.complete();
        }
        let waiting = self.waiting();
        if self.now >= self.stack.deadline_at {
            let minutes = self.stack.timeout_mins;
            return self.fail(
                format!("Timed out after {minutes} minutes: {waiting}"),
                !done,
            );
        }
        if failed.is_none() && !waiting.is_empty() {
            let mut reason = waiting;
            if let (Action::Rollback, Some(cause)) = (self.stack.action, &self.stack.cause) {
                reason = format!("{cause} (rolling back: {reason})");
            }
            self.stack.reason = reason;
        }
        Verdict::Wait(self.pause())
    }

    /// The first failure of what the stack does now, in Heat's form.
    fn first_failure(&self) -> Option<String> {
        let first = self.parts.first_failure(self.stack.traversal)?;
        let action = action_word(first.action);
        Some(format!("Resource {action} failed: {}", first.reason))
    }

    fn complete(&mut self) -> Verdict {
        if self.stack.action == Action::Delete {
            return Verdict::Gone;
        }
        let s = &mut self.stack;
        s.status = Status::Complete;
        s.reason = match (s.action, s.cause.take()) {
            (Action::Rollback, Some(cause)) => cause,
            (action, _) => format!("Stack {} completed successfully", action_word(action)),
        };
        s.previous = None;
        self.stack.outputs = self.outputs();
        Verdict::Over
    }

    /// Ends with a failure, or turns to the way back. There is none once all
    /// is as wanted and only a removal failed, nor where the resources are
    /// unknown.
    fn fail(&mut self, cause: String, may_return: bool) -> Verdict {
        self.abort_the_rest(&cause);
        let blind = self.blocked.as_ref().is_some_and(|b| b.blind);
        let s = &mut self.stack;
        let may_roll_back = may_return && !s.disable_rollback && !s.emptying && !blind;
        match s.action {
            Action::Create if may_roll_back => {
                s.emptying = true;
                s.aim(Action::Rollback, self.now);
            }
            Action::Update if may_roll_back && s.previous.is_some() => {
                if let Some(previous) = s.previous.take() {
                    s.template = previous.template;
                    s.parameters = previous.parameters;
                }
                s.aim(Action::Rollback, self.now);
                self.restore_replaced();
            }
            Action::Rollback => {
                let first = s.cause.take().unwrap_or_default();
                s.status = Status::Failed;
                s.reason = format!("{first} (the rollback failed as well: {cause})");
                return Verdict::Over;
            }
            _ => {
                s.status = Status::Failed;
                s.reason = cause;
                return Verdict::Over;
            }
        }
        self.stack.reason.clone_from(&cause);
        self.stack.cause = Some(cause);
        Verdict::Again
    }

    /// Nothing stays IN_PROGRESS in a stack that does not progress. Groups
    /// take the reason of their member.
    fn abort_the_rest(&mut self, cause: &str) {
        let traversal = self.stack.traversal;
        let open = self.parts.open().map(|(place, part)| {
            let waited = self.waits.get(&place);
            let waited = waited.map(|w| format!(" while waiting for: {}", w.reason));
            let action = action_word(part.action);
            let waited = waited.unwrap_or_default();
            (place, format!("{action} aborted{waited} ({cause})"))
        });
        let groups = self.parts.open_groups().map(|(place, group)| {
            let member = self.parts.failed_member(&group.id, traversal);
            let reason = member.map_or_else(
                || format!("{} aborted ({cause})", action_word(group.action)),
                |m| m.reason.clone(),
            );
            (place, reason)
        });
        let reasons: Vec<(Place, String)> = groups.chain(open).collect();
        for (place, reason) in reasons {
            self.change(place, |p| {
                p.status = Status::Failed;
                p.reason = reason;
                p.data.reviving = false;
                p.data.rebuild = None;
            });
        }
    }

    /// Going back prefers what was there: it still exists, because removals
    /// come after all that is made.
    fn restore_replaced(&mut self) {
        let pairs: Vec<(Place, Place)> = self
            .parts
            .iter()
            .filter_map(|(new, p)| Some((new, self.parts.place(p.replaces.as_deref()?)?)))
            .collect();
        for (new, old) in pairs {
            let alive = |p: &Part| p.action != Action::Delete;
            if self.parts.at(old).is_some_and(alive) {
                self.change(old, |p| p.doomed = false);
                self.change(new, |p| {
                    p.doomed = true;
                    p.replaces = None;
                });
            }
        }
    }

    /// What the stack waits for, in words.
    fn waiting(&self) -> String {
        const SHOWN: usize = 3;
        if let Some(blocked) = &self.blocked {
            return blocked.why.clone();
        }
        let open = self.parts.open();
        if open.len() == 0 {
            return String::new();
        }
        let more = match open.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let shown: Vec<String> = open
            .take(SHOWN)
            .map(|(_, p)| format!("{} ({}): {}", self.path(p), p.resource_type, p.reason))
            .collect();
        format!("Waiting for {}{more}", shown.join("; "))
    }

    fn pause(&self) -> Duration {
        let mut until = self.stack.deadline_at;
        let mut longest = RESYNC_INTERVAL;
        let mut events = self.waits.is_empty();
        for wait in self.waits.values() {
            match wait.wake {
                Wake::Event => events = true,
                Wake::Retry => {
                    events = true;
                    longest = RETRY_INTERVAL;
                }
                Wake::Until(at) => until = until.min(at),
            }
        }
        let left = u64::try_from(until - self.now).unwrap_or(0);
        let left = Duration::from_micros(left) + Duration::from_millis(1);
        if events { left.min(longest) } else { left }
    }
}
