//! The changes of a run that are not written yet.

use std::collections::BTreeSet;

use super::resource_index::Slot;
use crate::ResourceId;
use crate::stack::EventRow;

/// Changes for the next transaction. A resource that changed several times is
/// written once, in its final state.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// New or changed resources.
    pub written: BTreeSet<Slot>,
    /// Row ids of removed resources.
    pub removed: Vec<ResourceId>,
    pub events: Vec<EventRow>,
    /// Whether the run has handled reports of unhealthy resources, which are then
    /// deleted.
    pub reports_taken: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
            && self.removed.is_empty()
            && self.events.is_empty()
            && !self.reports_taken
    }
}
