//! Rollback of a failed update, if it was requested: new nodes leave again
//! after a drain, and new workers replace those that were removed. The stack is
//! updated instead of rolled back, because a rollback of the stack would remove
//! servers without a drain and lose their indices.
//!
//! ```text
//! failure ─┬─ not sent to the stack yet: nothing to undo ───────── ROLLBACK_COMPLETE
//!          └─ afterwards: ROLLBACK_IN_PROGRESS ── drains ── stack ── ROLLBACK_COMPLETE
//! ```

use orchestration::api::Stack;

use super::Step;
use crate::cluster::model::{Cluster, Intent};

/// Whether a failed operation is followed by a rollback.
pub(crate) fn is_requested(c: &Cluster) -> bool {
    c.intent == Intent::Resize && c.rollback.is_some()
}

/// Replaces a failure by a rollback if one was requested. Impossible if the
/// stack no longer exists.
pub(super) fn divert(c: &Cluster, stack: Option<&Stack>, step: Step) -> Step {
    match step {
        Step::Settle(Err(why)) if is_requested(c) && stack.is_some() => Step::RollBack(why),
        step => step,
    }
}
