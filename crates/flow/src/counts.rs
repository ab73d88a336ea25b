//! Counters of a driver since its start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs, failed runs and lost leases; cheap to clone.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<CounterValues>>);

/// A snapshot of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterValues {
    /// Runs that were started, by kind.
    pub runs: BTreeMap<&'static str, u64>,
    /// Runs that ended in an error and are repeated, by kind.
    pub failures: BTreeMap<&'static str, u64>,
    /// Leases that were lost while their runs were active.
    pub lost_leases: u64,
}

impl Counts {
    fn with<T>(&self, act: impl FnOnce(&mut CounterValues) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the current values.
    #[must_use]
    pub fn figures(&self) -> CounterValues {
        self.with(|f| f.clone())
    }

    pub(crate) fn count_run(&self, kind: &'static str) {
        self.with(|f| *f.runs.entry(kind).or_default() += 1);
    }

    pub(crate) fn count_failure(&self, kind: &'static str) {
        self.with(|f| *f.failures.entry(kind).or_default() += 1);
    }

    pub(crate) fn count_lost(&self, n: usize) {
        self.with(|f| f.lost_leases += u64::try_from(n).unwrap_or(u64::MAX));
    }
}
