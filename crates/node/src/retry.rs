//! Delays between attempts.

use std::time::Duration;

use kernel::ids;

/// Doubling delays with jitter, so that nodes do not retry simultaneously.
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(first_ms: u64, max_ms: u64) -> Self {
        Self {
            next: Duration::from_millis(first_ms),
            max: Duration::from_millis(max_ms),
        }
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next.mul_f64(0.5 + 0.5 * ids::jitter())).await;
        self.next = (self.next * 2).min(self.max);
    }
}

/// Random delays between zero and a bound that doubles: nodes that lost the
/// same server at the same time reconnect at different times.
pub(crate) struct FullJitter {
    first: Duration,
    next: Duration,
    max: Duration,
}

impl FullJitter {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            next: first,
            max,
        }
    }

    /// Resets after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next delay.
    fn draw(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(self.max);
        bound.mul_f64(ids::jitter())
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.draw()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_are_spread_over_time() {
        let mut all: Vec<FullJitter> = (0..1000)
            .map(|_| FullJitter::new(Duration::from_secs(1), Duration::from_secs(10)))
            .collect();
        for bound in [1, 2, 4, 8, 10, 10] {
            let bound = Duration::from_secs(bound);
            let mut drawn: Vec<Duration> = all.iter_mut().map(FullJitter::draw).collect();
            drawn.sort();
            assert!(drawn[999] <= bound);
            // About a tenth of the delays falls into each tenth of the time.
            let early = drawn.iter().filter(|d| **d < bound / 10).count();
            assert!((50..=200).contains(&early), "{early}");
        }
    }
}
