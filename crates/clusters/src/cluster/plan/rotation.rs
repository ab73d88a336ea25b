//! The steps of a rotation of the CA.

use super::{Observed, Step};
use crate::cluster::model::Cluster;
use crate::node::{Task, TaskKind, TaskStatus};

/// Waits until every manager has a certificate of the new CA.
pub(super) fn decide(c: &Cluster, seen: Observed<'_>) -> Step {
    let mine: Vec<&Task> = seen
        .tasks
        .iter()
        .filter(|t| t.kind == TaskKind::ReloadCa && t.generation == c.generation)
        .collect();
    let waiting = mine.iter().filter(|t| t.pending(seen.now));
    if let Some(until) = waiting.map(|t| t.deadline).min() {
        return Step::WaitUntil(until, "Waiting for the managers to take the new CA.".into());
    }
    let late: Vec<String> = mine
        .iter()
        .filter(|t| t.status != TaskStatus::Done)
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
        Step::Settle(Ok(()))
    } else {
        Step::Settle(Err(late.join("; ")))
    }
}
