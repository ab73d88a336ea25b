//! Pure: what a cluster needs next, from its row, its nodes, its tasks and
//! what the stack says.

use orchestration::face::{Action, Stack, Status};

use super::model::{Cluster, Intent};
use super::{leave, rollback};
use crate::coe::Coe;
use crate::node::{Node, Task};

/// The next step of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    CreateStack,
    UpdateStack,
    DeleteStack,
    /// The masters are to forget these nodes, whose servers are gone.
    TakeOff(Vec<String>),
    /// A master is to change the members of etcd: the kind of its task, and
    /// the node that it is about.
    Member(&'static str, String),
    /// The servers of these nodes (ids) are lost and made anew.
    Rebuild(Vec<String>),
    /// A node could not be drained: the resize ends and nothing has changed.
    Undo(String),
    /// The update failed and is to be taken back; the text is the cause.
    GoBack(String),
    /// The stack is gone: the rows go.
    Purge,
    /// Until an event; the text says for what.
    Wait(Option<String>),
    /// As `Wait`, but look again at this time (microseconds).
    WaitUntil(i64, String),
    /// The operation is over; the text is the cause of a failure.
    Settle(Result<(), String>),
    /// Nothing is going on.
    Rest,
}

/// Decides the next step. `stack` is `None` only where a lookup said so.
pub(crate) fn decide(
    coe: Coe,
    c: &Cluster,
    nodes: &[Node],
    tasks: &[Task],
    stack: Option<&Stack>,
    now: i64,
) -> Move {
    if c.intent == Intent::Delete {
        return delete(stack);
    }
    if !c.in_progress() {
        return Move::Rest;
    }
    let step = match c.intent {
        Intent::RotateCa => rotate(c, tasks, now),
        Intent::Resize | Intent::Rollback if coe == Coe::Kubernetes => {
            leave::decide(c, nodes, tasks, stack, now)
        }
        Intent::Resize | Intent::Rollback => {
            if let Some(wait) = leaving(c, tasks, now) {
                return wait;
            }
            if c.sent_generation < c.generation && stack.is_some() {
                return Move::UpdateStack;
            }
            follow(stack)
        }
        Intent::Create | Intent::Delete => {
            if stack.is_none() && c.sent_generation < c.generation {
                return Move::CreateStack;
            }
            follow(stack)
        }
    };
    rollback::turn(c, stack, step)
}

pub(crate) fn follow(stack: Option<&Stack>) -> Move {
    let Some(stack) = stack else {
        return Move::Settle(Err("The stack of the cluster has vanished.".into()));
    };
    match stack.status {
        _ if stack.action == Action::Init => Move::Wait(None),
        Status::InProgress => Move::Wait(None),
        Status::Complete => Move::Settle(Ok(())),
        Status::Failed => Move::Settle(Err(stack.status_reason.clone())),
    }
}

fn delete(stack: Option<&Stack>) -> Move {
    let Some(stack) = stack else {
        return Move::Purge;
    };
    if stack.action == Action::Delete && stack.status == Status::InProgress {
        let why = Some(stack.status_reason.clone()).filter(|w| !w.is_empty());
        return Move::Wait(why);
    }
    Move::DeleteStack
}

/// Draining precedes the update that removes the servers, until its deadline.
fn leaving(c: &Cluster, tasks: &[Task], now: i64) -> Option<Move> {
    let waiting: Vec<&Task> = tasks
        .iter()
        .filter(|t| t.generation <= c.generation && matches!(t.kind.as_str(), "drain" | "remove"))
        .filter(|t| t.pending(now))
        .collect();
    let until = waiting.iter().map(|t| t.deadline).min()?;
    let names: Vec<&str> = waiting.iter().map(|t| t.node.as_str()).collect();
    Some(Move::WaitUntil(
        until,
        format!(
            "Waiting for a manager to drain and remove {}.",
            names.join(", ")
        ),
    ))
}

fn rotate(c: &Cluster, tasks: &[Task], now: i64) -> Move {
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
        return Move::WaitUntil(until, "Waiting for the managers to take the new CA.".into());
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
        Move::Settle(Ok(()))
    } else {
        Move::Settle(Err(late.join("; ")))
    }
}
