//! Drains happen before the stack update that removes the servers.

use orchestration::api::Status;
use std::time::Duration;

use super::objects::task_log;
use super::{Observed, Step};
use crate::cluster::model::Cluster;
use crate::node::{Task, TaskKind, TaskStatus};

/// Time that an agent gets to report a drain that it gave up at its deadline.
const DRAIN_REPORT_GRACE: Duration = Duration::from_secs(15);

/// Whether the task is a drain whose removal was not sent to the stack yet.
pub(super) fn is_current(c: &Cluster, t: &Task) -> bool {
    t.kind == TaskKind::Drain && t.generation > c.sent_generation && t.generation <= c.generation
}

/// A failed drain cancels the removal. Returns `None` when every drain that the
/// stack waits for has succeeded.
pub(super) fn decide(c: &Cluster, seen: Observed<'_>) -> Option<Step> {
    let drains: Vec<&Task> = seen.tasks.iter().filter(|t| is_current(c, t)).collect();
    let late =
        |t: &&&Task| t.status == TaskStatus::Pending && t.deadline + DRAIN_REPORT_GRACE <= seen.now;
    let fault = match drains.iter().find(|t| t.status == TaskStatus::Failed) {
        Some(t) => Some(format!(
            "Node {}: step drain failed: {}",
            t.node,
            task_log(t)
        )),
        None => drains
            .iter()
            .find(late)
            .map(|t| format!("Node {}: step drain failed: no master has answered", t.node)),
    };
    if let Some(fault) = fault {
        // The previous action of the stack has to end first.
        if seen.stack.is_some_and(|s| s.status == Status::InProgress) {
            return Some(Step::Wait(None));
        }
        return Some(Step::Cancel(format!(
            "{fault}. Nothing was removed. Free capacity for the pods on other nodes, or change \
             their PodDisruptionBudget, then resize again."
        )));
    }
    let waiting = || drains.iter().filter(|t| t.status == TaskStatus::Pending);
    let until = waiting().map(|t| t.deadline + DRAIN_REPORT_GRACE).min()?;
    let names: Vec<&str> = waiting().map(|t| t.node.as_str()).collect();
    Some(Step::WaitUntil(
        until,
        format!("Waiting for a master to drain {}.", names.join(", ")),
    ))
}

/// In a swarm the servers are deleted at the deadline of the drains, whatever
/// their results.
pub(super) fn wait_for_swarm(c: &Cluster, seen: Observed<'_>) -> Option<Step> {
    let waiting: Vec<&Task> = seen
        .tasks
        .iter()
        .filter(|t| {
            t.generation <= c.generation && matches!(t.kind, TaskKind::Drain | TaskKind::Remove)
        })
        .filter(|t| t.pending(seen.now))
        .collect();
    let until = waiting.iter().map(|t| t.deadline).min()?;
    let names: Vec<&str> = waiting.iter().map(|t| t.node.as_str()).collect();
    Some(Step::WaitUntil(
        until,
        format!(
            "Waiting for a manager to drain and remove {}.",
            names.join(", ")
        ),
    ))
}
