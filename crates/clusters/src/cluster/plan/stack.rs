//! Steps that follow from the state of the stack.

use orchestration::api::{Action, Stack, Status};

use super::Step;
use crate::cluster::model::Cluster;
use crate::status::{self, Phase};

/// Waits for the end of the action of the stack.
pub(super) fn follow(stack: Option<&Stack>) -> Step {
    let Some(stack) = stack else {
        return Step::Settle(Err("The stack of the cluster no longer exists.".into()));
    };
    match stack.status {
        _ if stack.action == Action::Init => Step::Wait(None),
        Status::InProgress => Step::Wait(None),
        Status::Complete => Step::Settle(Ok(())),
        Status::Failed => Step::Settle(Err(stack.status_reason.clone())),
    }
}

/// A failed deletion is reported before it is tried again.
pub(super) fn delete(c: &Cluster, stack: Option<&Stack>) -> Step {
    let Some(stack) = stack else {
        return Step::Purge;
    };
    match (stack.action, stack.status) {
        (Action::Delete, Status::InProgress) => {
            Step::Wait(Some(stack.status_reason.clone()).filter(|why| !why.is_empty()))
        }
        (Action::Delete, Status::Failed) if !c.status.is(status::Action::Delete, Phase::Failed) => {
            Step::ReportDeleteFailure(stack.status_reason.clone())
        }
        (Action::Delete, Status::Failed) => Step::DeleteStack {
            retry: Some(stack.status_reason.clone()),
        },
        _ => Step::DeleteStack { retry: None },
    }
}
