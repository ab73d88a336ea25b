//! Validity of a lease in this process.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The lease was lost or could not be renewed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLost;

impl From<LeaseLost> for kernel::Error {
    fn from(_: LeaseLost) -> Self {
        kernel::Error::conflict("The lease was lost while it was used.")
    }
}

/// Shared by the run, the futures that it spawned and the renewal task.
/// Measured by the monotonic clock, starting before the last renewal was sent:
/// a suspended process finds it ended when it resumes.
#[derive(Debug, Clone, Default)]
pub struct Validity(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Microseconds after `origin`.
    until: AtomicU64,
    origin: OnceLock<Instant>,
    ended: CancellationToken,
}

impl Validity {
    /// A lease that was requested at `asked` for the given `duration`.
    #[must_use]
    pub fn since(asked: Instant, duration: Duration) -> Self {
        let validity = Self::default();
        let _ = validity.0.origin.set(asked);
        validity.extend(asked, duration);
        validity
    }

    /// Extends the validity; the renewal was sent at `asked`.
    pub fn extend(&self, asked: Instant, duration: Duration) {
        let Some(origin) = self.0.origin.get() else {
            return;
        };
        let until = asked.saturating_duration_since(*origin) + duration;
        let micros = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.0.until.fetch_max(micros, Ordering::SeqCst);
    }

    /// Ends the validity.
    pub fn end(&self) {
        self.0.ended.cancel();
    }

    /// Whether the holder may still act.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.0.ended.is_cancelled() {
            return false;
        }
        let Some(origin) = self.0.origin.get() else {
            // A lease created manually in a test.
            return true;
        };
        let until = Duration::from_micros(self.0.until.load(Ordering::SeqCst));
        Instant::now() < *origin + until
    }

    /// Polls `work` only while the lease is held.
    ///
    /// # Errors
    /// `LeaseLost` if the lease ended first; `work` is dropped.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, LeaseLost> {
        let mut work = pin!(work);
        let mut ended = pin!(self.0.ended.cancelled());
        std::future::poll_fn(|cx| {
            if ended.as_mut().poll(cx).is_ready() || !self.holds() {
                return Poll::Ready(Err(LeaseLost));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_stops_when_the_lease_ends_and_continues_if_renewed() {
        let second = Duration::from_secs(1);
        let lease = Validity::since(Instant::now(), second * 2);
        let renewed = lease.clone();
        let work = lease.guard(async {
            tokio::time::sleep(second).await;
            renewed.extend(Instant::now(), second * 2);
            tokio::time::sleep(second + second / 2).await;
            "done"
        });
        assert_eq!(work.await, Ok("done"));
        // A suspended process resumes after the end of its lease.
        let late = lease.guard(tokio::time::sleep(second * 5)).await;
        assert_eq!(late, Err(LeaseLost));
        let ended = Validity::since(Instant::now(), second * 9);
        ended.end();
        assert_eq!(ended.guard(async {}).await, Err(LeaseLost));
    }
}
