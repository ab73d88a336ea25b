//! Handling of calls whose outcome is unknown.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Error, Kind};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Delay of the first sweep after a call without an answer; it doubles after each
/// sweep.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The sweeps end before their delay reaches this value; later effects are found by
/// the periodic resync.
const DELAY_LIMIT: Duration = Duration::from_secs(60);

/// Notifies the sweep that a call got no answer and may still take effect;
/// cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LateCalls(Arc<Notify>);

impl LateCalls {
    /// Must be called with the error of every change.
    pub fn note(&self, e: &Error) {
        if e.kind == Kind::Timeout {
            self.0.notify_one();
        }
    }

    /// Returns the schedule for the single sweep task.
    #[must_use]
    pub fn sweep_schedule(&self) -> SweepSchedule {
        SweepSchedule {
            calls: self.0.clone(),
            next: None,
        }
    }
}

/// Determines when the sweep runs.
#[derive(Debug)]
pub struct SweepSchedule {
    calls: Arc<Notify>,
    next: Option<(Instant, Duration)>,
}

impl SweepSchedule {
    /// Waits until the next sweep is due. Cancel-safe.
    pub async fn due(&mut self) {
        loop {
            let Some((at, wait)) = self.next else {
                self.calls.notified().await;
                self.next = Some((Instant::now() + FIRST_DELAY, FIRST_DELAY));
                continue;
            };
            tokio::select! {
                biased;
                () = self.calls.notified() => {
                    self.next = Some((Instant::now() + FIRST_DELAY, FIRST_DELAY));
                }
                () = sleep_until(at) => {
                    let wait = wait * 2;
                    self.next = (wait < DELAY_LIMIT).then(|| (Instant::now() + wait, wait));
                    return;
                }
            }
        }
    }
}

/// Delay before the next retry of a call that has failed for the time `elapsed`:
/// about the same time, within bounds. `jitter` is a fraction from 0 to 1.
#[must_use]
pub fn backoff(elapsed: Duration, least: Duration, jitter: f64) -> Duration {
    elapsed
        .clamp(least, Duration::from_secs(15))
        .mul_f64(0.75 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sweeps_become_rare_and_end() {
        let calls = LateCalls::default();
        let mut sweep_schedule = calls.sweep_schedule();
        calls.note(&Error::timeout("x"));
        calls.note(&Error::internal("not a timeout"));
        let begin = Instant::now();
        let mut seen = Vec::new();
        while tokio::time::timeout(Duration::from_secs(600), sweep_schedule.due())
            .await
            .is_ok()
        {
            seen.push(begin.elapsed().as_secs());
        }
        assert_eq!(seen, [1, 3, 7, 15, 31, 63]);
    }

    #[test]
    fn waits_grow_with_the_outage_and_are_bounded() {
        let least = Duration::from_millis(200);
        assert_eq!(backoff(Duration::ZERO, least, 0.5), least);
        assert_eq!(
            backoff(Duration::from_secs(3), least, 0.5),
            Duration::from_secs(3)
        );
        assert_eq!(backoff(Duration::MAX, least, 0.5), Duration::from_secs(15));
    }
}
