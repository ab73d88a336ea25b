//! Pure planning: computes the next step of a cluster from its row, nodes,
//! tasks and stack.

use orchestration::api::{Action, Stack, Status};

use super::model::{Cluster, Intent};
use super::{node_removal, rollback};
use crate::coe::Coe;
use crate::node::{Node, Task};

/// The next step of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanStep {
    CreateStack,
    UpdateStack,
    DeleteStack,
    /// Masters remove the Node objects of these nodes, whose servers are gone.
    RemoveNodeObjects(Vec<String>),
    /// A master changes the members of etcd: the kind of the task, and the node
    /// that it concerns.
    ChangeEtcdMember(&'static str, String),
    /// The servers of these nodes (ids) are lost and have to be rebuilt.
    Rebuild(Vec<String>),
    /// A node could not be drained: the resize is cancelled and nothing
    /// changes.
    CancelResize(String),
    /// The update failed and is rolled back; the text is the cause.
    StartRollback(String),
    /// The stack is deleted: delete the rows.
    Purge,
    /// Wait for an event; the text says for which.
    Wait(Option<String>),
    /// As `Wait`, but run again at this time (microseconds).
    WaitUntil(i64, String),
    /// The operation has ended; the text is the cause of a failure.
    Finish(Result<(), String>),
    /// There is no operation in progress.
    Idle,
}

/// Plans the next step. `stack` is `None` only if a lookup confirmed its
/// absence.
pub(crate) fn decide(
    coe: Coe,
    c: &Cluster,
    nodes: &[Node],
    tasks: &[Task],
    stack: Option<&Stack>,
    now: i64,
) -> PlanStep {
    if c.intent == Intent::Delete {
        return delete(stack);
    }
    if !c.in_progress() {
        return PlanStep::Idle;
    }
    let step = match c.intent {
        Intent::RotateCa => rotate(c, tasks, now),
        Intent::Resize | Intent::Rollback if coe == Coe::Kubernetes => {
            node_removal::decide(c, nodes, tasks, stack, now)
        }
        Intent::Resize | Intent::Rollback => {
            if let Some(wait) = leaving(c, tasks, now) {
                return wait;
            }
            if c.sent_generation < c.generation && stack.is_some() {
                return PlanStep::UpdateStack;
            }
            follow(stack)
        }
        Intent::Create | Intent::Delete => {
            if stack.is_none() && c.sent_generation < c.generation {
                return PlanStep::CreateStack;
            }
            follow(stack)
        }
    };
    rollback::divert_to_rollback(c, stack, step)
}

pub(crate) fn follow(stack: Option<&Stack>) -> PlanStep {
    let Some(stack) = stack else {
        return PlanStep::Finish(Err("The stack of the cluster has vanished.".into()));
    };
    match stack.status {
        _ if stack.action == Action::Init => PlanStep::Wait(None),
        Status::InProgress => PlanStep::Wait(None),
        Status::Complete => PlanStep::Finish(Ok(())),
        Status::Failed => PlanStep::Finish(Err(stack.status_reason.clone())),
    }
}

fn delete(stack: Option<&Stack>) -> PlanStep {
    let Some(stack) = stack else {
        return PlanStep::Purge;
    };
    if stack.action == Action::Delete && stack.status == Status::InProgress {
        let why = Some(stack.status_reason.clone()).filter(|w| !w.is_empty());
        return PlanStep::Wait(why);
    }
    PlanStep::DeleteStack
}

/// Drains happen before the stack update that removes the servers, until their
/// deadline.
fn leaving(c: &Cluster, tasks: &[Task], now: i64) -> Option<PlanStep> {
    let waiting: Vec<&Task> = tasks
        .iter()
        .filter(|t| t.generation <= c.generation && matches!(t.kind.as_str(), "drain" | "remove"))
        .filter(|t| t.pending(now))
        .collect();
    let until = waiting.iter().map(|t| t.deadline).min()?;
    let names: Vec<&str> = waiting.iter().map(|t| t.node.as_str()).collect();
    Some(PlanStep::WaitUntil(
        until,
        format!(
            "Waiting for a manager to drain and remove {}.",
            names.join(", ")
        ),
    ))
}

fn rotate(c: &Cluster, tasks: &[Task], now: i64) -> PlanStep {
    let mine: Vec<&Task> = tasks
        .iter()
        .filter(|t| t.kind == "reload-ca" && t.generation == c.generation)
        .collect();
    if let Some(until) = mine
        .iter()
        .filter(|t| t.pending(now))
        .map(|t| t.deadline)
        .min()
    {
        return PlanStep::WaitUntil(until, "Waiting for the managers to take the new CA.".into());
    }
    let late: Vec<String> = mine
        .iter()
        .filter(|t| t.status != "done")
        .map(|t| {
            let log = if t.log.is_empty() {
                "no answer"
            } else {
                &t.log
            };
            format!("Node {}: step reload-ca failed: {log}", t.node)
        })
        .collect();
    if late.is_empty() {
        PlanStep::Finish(Ok(()))
    } else {
        PlanStep::Finish(Err(late.join("; ")))
    }
}
