//! The effects of a run on the services behind remote resources.

use super::resource_index::Slot;

/// An effect that may start once its intent is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Create,
    /// Checks the object. An update is only a check, too, because no remote type
    /// changes its objects in place.
    Check,
    /// Rebuilds the object under the same id.
    Rebuild,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingEffect {
    pub slot: Slot,
    pub effect: Effect,
}
