//! The configuration of a simulated host.

use std::time::Duration;

/// Capacity and latencies of the simulated host.
#[derive(Debug, Clone)]
pub struct SimConfig {
    pub host: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub create: Duration,
    /// Minimum and maximum start time, uniformly distributed.
    pub start: (Duration, Duration),
    pub remove: Duration,
    /// Time to create or remove a network.
    pub network: Duration,
    /// Time to pull a missing image.
    pub pull: Duration,
}

impl Default for SimConfig {
    /// Create and start take 0.8–1.0 s together, as measured on a real engine
    /// for a node until its nested engine answers.
    fn default() -> Self {
        Self {
            host: "sim-1".into(),
            cpus: 4096,
            memory: 64 << 40,
            create: Duration::from_millis(100),
            start: (Duration::from_millis(700), Duration::from_millis(900)),
            remove: Duration::from_millis(200),
            network: Duration::from_millis(100),
            pull: Duration::from_secs(20),
        }
    }
}

impl SimConfig {
    /// No latencies, for tests of decisions.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            create: Duration::ZERO,
            start: (Duration::ZERO, Duration::ZERO),
            remove: Duration::ZERO,
            network: Duration::ZERO,
            pull: Duration::ZERO,
            ..Self::default()
        }
    }
}
