//! The configuration of a simulated host.

use std::time::Duration;

use crate::OfferedIsolation;

/// Capacity and latencies of the simulated host.
#[derive(Debug, Clone)]
pub struct SimConfig {
    pub host: String,
    pub cpus: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Time to create a container.
    pub create: Duration,
    /// Minimum and maximum start time, uniformly distributed.
    pub start: (Duration, Duration),
    pub remove: Duration,
    /// Time to create or remove a network.
    pub network: Duration,
    /// Time to pull a missing image.
    pub pull: Duration,
    pub isolation: OfferedIsolation,
}

impl Default for SimConfig {
    /// Create and start take 0.8–1.0 s together. That is the measured time on a real
    /// engine until the nested engine of a node answers.
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
            isolation: OfferedIsolation::full(),
        }
    }
}

impl SimConfig {
    /// A configuration without latencies, for tests in which time does not matter.
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
