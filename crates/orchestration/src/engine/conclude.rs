//! What the state of the resources means for the stack: the one place where
//! its status is decided.

use std::time::Duration;

use super::world::World;
use crate::face::{Action, Status};
use crate::resource::Role;
use crate::stack::{Part, action_word};

/// Looks at things that nobody tells us about.
const POLL: Duration = Duration::from_secs(2);

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
    /// Called when no effect is under way and nothing more is ready.
    /// `done`: all resources are as wanted; `clean`: nothing is left to remove.
    pub(super) fn conclude(&mut self, done: bool, clean: bool) -> Verdict {
        let failed = self.first_failure();
        let cleaning = done || self.stack.emptying;
        if let Some(cause) = &failed
            && !(cleaning && self.removals_under_way())
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
    pub(super) fn first_failure(&self) -> Option<String> {
        let is_group = |p: &Part| matches!(Self::kind(p).map(|t| t.role), Some(Role::Group));
        self.parts
            .iter()
            .filter(|p| self.failed_now(p) && !is_group(p))
            // One that is replaced has had its say.
            .filter(|p| p.action == Action::Delete || !p.doomed)
            .min_by_key(|p| p.updated_at)
            .map(|p| format!("Resource {} failed: {}", action_word(p.action), p.reason))
    }

    fn removals_under_way(&self) -> bool {
        self.parts
            .iter()
            .any(|p| p.is(Action::Delete, Status::InProgress))
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
    /// is as wanted and only a removal failed.
    fn fail(&mut self, cause: String, may_return: bool) -> Verdict {
        self.abort_the_rest(&cause);
        let s = &mut self.stack;
        let may_roll_back = may_return && !s.disable_rollback && !s.emptying;
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
        let open: Vec<Part> = self
            .parts
            .iter()
            .filter(|p| p.status == Status::InProgress)
            .cloned()
            .collect();
        for part in open {
            let member = self
                .parts
                .iter()
                .find(|p| p.parent.as_deref() == Some(&part.id) && self.failed_now(p))
                .map(|p| p.reason.clone());
            let waited = self
                .waits
                .get(&part.id)
                .map(|w| format!(" while waiting for: {}", w.reason));
            let reason = member.unwrap_or_else(|| {
                format!(
                    "{} aborted{} ({cause})",
                    action_word(part.action),
                    waited.unwrap_or_default()
                )
            });
            self.change(&part.id, |p| {
                p.status = Status::Failed;
                p.reason = reason;
                p.data.reviving = false;
            });
        }
    }

    /// Going back prefers what was there: it still exists, because removals
    /// come after all that is made.
    fn restore_replaced(&mut self) {
        let pairs: Vec<(String, String)> = self
            .parts
            .iter()
            .filter_map(|p| p.replaces.clone().map(|old| (p.id.clone(), old)))
            .collect();
        for (new, old) in pairs {
            let alive = self.part(&old).is_some_and(|p| p.action != Action::Delete);
            if alive {
                self.change(&old, |p| p.doomed = false);
                self.change(&new, |p| {
                    p.doomed = true;
                    p.replaces = None;
                });
            }
        }
    }

    /// What the stack waits for, in words.
    fn waiting(&self) -> String {
        const SHOWN: usize = 3;
        let is_group = |p: &&Part| !matches!(Self::kind(p).map(|t| t.role), Some(Role::Group));
        let open: Vec<&Part> = self
            .parts
            .iter()
            .filter(|p| p.status == Status::InProgress)
            .filter(is_group)
            .collect();
        if open.is_empty() {
            return String::new();
        }
        let shown: Vec<String> = open
            .iter()
            .take(SHOWN)
            .map(|p| format!("{} ({}): {}", self.path(p), p.resource_type, p.reason))
            .collect();
        let more = match open.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        format!("Waiting for {}{more}", shown.join("; "))
    }

    fn pause(&self) -> Duration {
        let mut until = self.stack.deadline_at;
        let mut poll = self.waits.is_empty();
        for wait in self.waits.values() {
            poll |= wait.poll;
            until = wait.until.map_or(until, |u| until.min(u));
        }
        let left = u64::try_from(until - self.now).unwrap_or(0);
        let left = Duration::from_micros(left) + Duration::from_millis(1);
        if poll { left.min(POLL) } else { left }
    }
}
