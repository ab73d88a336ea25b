//! What resources wait for, and until when.

use kernel::Timestamp;

/// When a waiting resource is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// An event marks the stack; a slow check covers missed events.
    Event,
    /// The same step is repeated.
    Retry,
    /// A signal, or this time.
    Until(Timestamp),
}

/// What a resource waits for.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub reason: String,
    pub wake: Wake,
}
