//! Leases of dirty keys, with epochs.
//!
//! A key is marked dirty in the transaction of a change that needs work. A
//! worker claims it by compare-and-swap (SQLite has no row locks), which
//! increments the epoch; every write of the run is fenced by the epoch. All
//! times are times of the database, so that clocks of servers do not matter.

use std::future::Future;

use crate::{LeaseLost, Validity};

/// A key leased to one worker.
#[derive(Debug, Clone)]
pub struct Lease {
    pub kind: String,
    pub id: String,
    pub owner: String,
    /// Incremented with each claim; a write with an old epoch fails.
    pub epoch: i64,
    /// The generation of the key that this run handles.
    pub generation: i64,
    /// Number of consecutive failed runs before this one.
    pub attempts: i64,
    /// The project of the object, if known.
    pub project: Option<String>,
    pub(crate) validity: Validity,
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, &self.id, &self.owner, self.epoch)
            == (&other.kind, &other.id, &other.owner, other.epoch)
    }
}

impl Lease {
    /// Until when this process may act under the lease.
    #[must_use]
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// Polls `work` only while the lease is held. The driver wraps each run in
    /// it; a future that a run spawns as a separate task needs a separate
    /// guard.
    ///
    /// # Errors
    /// `LeaseLost` if the lease ended first; `work` is dropped.
    pub async fn guard<F: Future>(&self, work: F) -> Result<F::Output, LeaseLost> {
        self.validity.guard(work).await
    }
}
