//! Waiting between attempts.

use std::time::Duration;

use kernel::ids;

/// Doubling pauses with jitter, so that many nodes do not knock in step.
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(first_ms: u64, most_ms: u64) -> Self {
        Self {
            next: Duration::from_millis(first_ms),
            most: Duration::from_millis(most_ms),
        }
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next.mul_f64(0.5 + 0.5 * ids::jitter())).await;
        self.next = (self.next * 2).min(self.most);
    }
}
