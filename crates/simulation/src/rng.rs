//! Randomness of the simulation: one stream per purpose, so that an additional
//! fault does not change the actions of users.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A stream of random values; clones share the stream.
#[derive(Clone)]
pub struct SeededRng(Arc<Mutex<StdRng>>);

impl SeededRng {
    /// Creates the stream of a purpose.
    #[must_use]
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.rotate_left(32);
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(mixed))))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns true with this probability, `0.0..=1.0`.
    #[must_use]
    pub fn hits(&self, share: f64) -> bool {
        share > 0.0 && self.with(|r| r.random_bool(share.min(1.0)))
    }

    /// An integer in `low..=high`.
    #[must_use]
    pub fn number(&self, low: u64, high: u64) -> u64 {
        self.with(|r| r.random_range(low..=high))
    }

    /// An index into a list of this length, which must not be empty.
    #[must_use]
    pub fn index(&self, length: usize) -> usize {
        let last = u64::try_from(length.saturating_sub(1)).unwrap_or(0);
        usize::try_from(self.number(0, last)).unwrap_or(0)
    }

    /// A duration in `low..=high`.
    #[must_use]
    pub fn time(&self, low: Duration, high: Duration) -> Duration {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.number(micros(low), micros(high)))
    }

    /// A duration in seconds, `low..=high`.
    #[must_use]
    pub fn seconds(&self, low: u64, high: u64) -> Duration {
        self.time(Duration::from_secs(low), Duration::from_secs(high))
    }
}
