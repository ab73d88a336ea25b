//! Pure planning: from what is desired and what was observed to the next steps.
//! Plans have no clock, no SQL and no other effect; `apply` performs their
//! steps.

pub(crate) mod cancel;
mod drains;
pub(crate) mod failures;
mod lost;
pub(crate) mod nodes;
mod objects;
mod rollback;
mod rotation;
pub(crate) mod selection;
pub(crate) mod settle;
mod stack;
mod state;
pub(crate) mod status;
pub(crate) mod step;

#[cfg(test)]
mod tests;

pub(crate) use objects::REMOVE_LIMIT;
pub(crate) use rollback::is_requested as is_rollback_requested;
pub(crate) use state::{Desired, Observed};
pub(crate) use step::{NodeFailure, NodeStep, Step};

use super::model::{Cluster, Intent};
use crate::coe::Coe;
use crate::node::Node;

/// Whether the cluster has no operation in progress.
pub(crate) fn is_idle(c: &Cluster) -> bool {
    !c.in_progress() && c.intent != Intent::Delete
}

/// Plans the next steps of the operation in progress; empty if there is none.
pub(crate) fn decide(want: Desired<'_>, seen: Observed<'_>) -> Vec<Step> {
    let c = want.cluster;
    if is_idle(c) {
        return Vec::new();
    }
    if c.intent == Intent::Delete {
        return vec![stack::delete(c, seen.stack)];
    }
    if !seen.failures.is_empty() {
        return vec![Step::FailNodes(seen.failures.to_vec())];
    }
    let mut steps = Vec::new();
    if seen.stack.is_some() {
        // The stack did not accept these signals of agents.
        let unsent = |n: &&Node| n.signal.is_some() && !n.signalled;
        let repeat = |n: &Node| Step::RepeatSignal(n.id.clone());
        steps.extend(want.nodes.iter().filter(unsent).map(repeat));
    }
    let next = match c.intent {
        Intent::RotateCa => rotation::decide(c, seen),
        Intent::Resize | Intent::Rollback => resize(want, seen),
        Intent::Create | Intent::Delete => {
            if seen.stack.is_none() && c.sent_generation < c.generation {
                Step::CreateStack
            } else {
                stack::follow(seen.stack)
            }
        }
    };
    steps.push(rollback::divert(c, seen.stack, next));
    steps
}

/// The next step of a change of the nodes. In Kubernetes lost nodes are rebuilt
/// first, a failed drain cancels the change, and the Node objects of removed
/// nodes are removed last.
fn resize(want: Desired<'_>, seen: Observed<'_>) -> Step {
    let c = want.cluster;
    let kubernetes = want.coe == Coe::Kubernetes;
    let first = if kubernetes {
        lost::decide(want, seen).or_else(|| drains::decide(c, seen))
    } else {
        drains::wait_for_swarm(c, seen)
    };
    if let Some(step) = first {
        return step;
    }
    if c.sent_generation < c.generation && seen.stack.is_some() {
        return Step::UpdateStack;
    }
    match stack::follow(seen.stack) {
        Step::Settle(Ok(())) if kubernetes => objects::decide(want, seen),
        step => step,
    }
}
