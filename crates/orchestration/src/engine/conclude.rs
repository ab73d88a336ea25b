//! Derives the status of a stack from the state of its resources. No other file
//! determines it.

use std::time::Duration;

use super::resource_index::Slot;
use super::stack_state::StackState;
use super::waiting::Wake;
use crate::api::{Action, Status};
use crate::stack::{ResourceRow, action_word};

/// Delay between attempts of a repeated step.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Resync interval for missed events.
const RESYNC_INTERVAL: Duration = Duration::from_secs(15);

/// The next action of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunVerdict {
    /// The action of the stack has ended.
    Over,
    /// No resource is left: delete the stack.
    Gone,
    /// The stack has a new target, because of a rollback: start another run.
    Again,
    Wait(Duration),
}

impl StackState {
    /// Performs the steps that are ready; returns a verdict when no effect is in
    /// progress.
    pub(super) fn decide(&mut self) -> Option<RunVerdict> {
        if self.blocked.is_some() {
            return Some(self.conclude(false, false));
        }
        let failed = !self.stack.emptying && self.first_failure().is_some();
        let late = self.now >= self.stack.deadline_at;
        // After a failure nothing new is started, and running effects are
        // awaited.
        let done = !self.stack.emptying && !late && !failed && self.forward();
        let clean = (done || self.stack.emptying) && !late && self.clean();
        let is_idle = self.in_flight.is_empty();
        is_idle.then(|| self.conclude(done, clean))
    }

    /// Called when no effect is in progress and nothing else is ready. `done`:
    /// all resources are as desired; `clean`: nothing is left to remove.
    fn conclude(&mut self, done: bool, clean: bool) -> RunVerdict {
        let failed = self.first_failure();
        let cleaning = done || self.stack.emptying;
        if let Some(cause) = &failed
            && !(cleaning && self.resources.removals_under_way())
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
        RunVerdict::Wait(self.pause())
    }

    /// The first failure of the current action, in Heat's format.
    fn first_failure(&self) -> Option<String> {
        let first = self.resources.first_failure(self.stack.traversal)?;
        let action = action_word(first.action);
        Some(format!("Resource {action} failed: {}", first.reason))
    }

    fn complete(&mut self) -> RunVerdict {
        if self.stack.action == Action::Delete {
            return RunVerdict::Gone;
        }
        let s = &mut self.stack;
        s.status = Status::Complete;
        s.reason = match (s.action, s.cause.take()) {
            (Action::Rollback, Some(cause)) => cause,
            (action, _) => format!("Stack {} completed successfully", action_word(action)),
        };
        s.previous = None;
        self.stack.outputs = self.outputs();
        RunVerdict::Over
    }

    /// Ends with a failure, or starts a rollback. There is no rollback if all
    /// resources are as desired and only a removal failed, or if the resources
    /// are unknown.
    fn fail(&mut self, cause: String, incomplete: bool) -> RunVerdict {
        self.abort_in_progress(&cause);
        let resources_unknown = self.blocked.as_ref().is_some_and(|b| b.resources_unknown);
        let s = &mut self.stack;
        let may_roll_back = incomplete && !s.disable_rollback && !s.emptying && !resources_unknown;
        match s.action {
            Action::Create if may_roll_back => {
                s.emptying = true;
                s.set_target(Action::Rollback, self.now);
            }
            Action::Update if may_roll_back && s.previous.is_some() => {
                if let Some(previous) = s.previous.take() {
                    s.template = previous.template;
                    s.parameters = previous.parameters;
                }
                s.set_target(Action::Rollback, self.now);
                self.restore_replaced();
            }
            Action::Rollback => {
                let first = s.cause.take().unwrap_or_default();
                s.status = Status::Failed;
                s.reason = format!("{first} (the rollback failed as well: {cause})");
                return RunVerdict::Over;
            }
            _ => {
                s.status = Status::Failed;
                s.reason = cause;
                return RunVerdict::Over;
            }
        }
        self.stack.reason.clone_from(&cause);
        self.stack.cause = Some(cause);
        RunVerdict::Again
    }

    /// Marks all resources in progress as failed, because the action has ended. A
    /// group gets the reason of its failed member.
    fn abort_in_progress(&mut self, cause: &str) {
        let traversal = self.stack.traversal;
        let open = self.resources.open().map(|(slot, resource)| {
            let waited = self.waits.get(&slot);
            let waited = waited.map(|w| format!(" while waiting for: {}", w.reason));
            let action = action_word(resource.action);
            let waited = waited.unwrap_or_default();
            (slot, format!("{action} aborted{waited} ({cause})"))
        });
        let groups = self.resources.open_groups().map(|(slot, group)| {
            let member = self.resources.failed_member(&group.id, traversal);
            let reason = member.map_or_else(
                || format!("{} aborted ({cause})", action_word(group.action)),
                |m| m.reason.clone(),
            );
            (slot, reason)
        });
        let reasons: Vec<(Slot, String)> = groups.chain(open).collect();
        for (slot, reason) in reasons {
            self.change(slot, |p| {
                p.status = Status::Failed;
                p.reason = reason;
                p.data.reviving = false;
                p.data.rebuild = None;
            });
        }
    }

    /// Makes replaced resources current again, and marks their replacements for
    /// removal. The replaced ones still exist, because resources are removed only
    /// after everything was created.
    fn restore_replaced(&mut self) {
        let pairs: Vec<(Slot, Slot)> = self
            .resources
            .iter()
            .filter_map(|(new, p)| Some((new, self.resources.slot(p.replaces.as_ref()?)?)))
            .collect();
        for (new, old) in pairs {
            let alive = |p: &ResourceRow| p.action != Action::Delete;
            if self.resources.at(old).is_some_and(alive) {
                self.change(old, |p| p.to_remove = false);
                self.change(new, |p| {
                    p.to_remove = true;
                    p.replaces = None;
                });
            }
        }
    }

    /// Text about what the stack waits for.
    fn waiting(&self) -> String {
        const SHOWN: usize = 3;
        if let Some(blocked) = &self.blocked {
            return blocked.why.clone();
        }
        let open = self.resources.open();
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

    /// The time until the next run if no event starts it earlier.
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
        let left = until.since(self.now) + Duration::from_millis(1);
        if events { left.min(longest) } else { left }
    }
}
