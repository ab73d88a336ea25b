//! What resources wait for, and until when.

use kernel::Timestamp;

/// When a waiting resource is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// When an event marks the stack; missed events are covered by the resync.
    Event,
    /// Soon, because the same step is repeated.
    Retry,
    /// When a signal marks the stack, or at this time.
    Until(Timestamp),
}

/// What a resource waits for.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub reason: String,
    pub wake: Wake,
}
