//! Database faults in simulations, and safeguards that a simulation can disable
//! to prove that it detects their absence. Servers use none of this.

use async_trait::async_trait;
use kernel::Result;

/// A point at which the database can be slow, fail, or lose its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point<'a> {
    /// Before a SELECT outside of a transaction.
    Read(&'a str),
    /// Before a transaction begins.
    Begin,
    /// Before a statement of a transaction.
    Statement(&'a str),
    /// Before a commit: an error here means that nothing was written.
    Commit,
    /// After a commit: an error here means that the answer was lost.
    Committed,
    /// A transaction of a worker has committed under this lease.
    Fenced {
        kind: &'a str,
        id: &'a str,
        epoch: i64,
    },
}

/// Decides what happens at each point.
#[async_trait]
pub trait DatabaseFaults: Send + Sync {
    /// Waits for the simulated duration of the operation.
    ///
    /// # Errors
    /// The simulated error of the database.
    async fn at(&self, point: Point<'_>) -> Result<()>;

    /// Whether another server receives the notification of a commit.
    fn delivers_notification(&self) -> bool {
        true
    }
}

/// Mechanisms that make delayed and duplicate work harmless. All are enabled
/// except in a simulation that shows the effect of their absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safeguards {
    /// A transaction of a worker fails when its lease is lost.
    pub fence: bool,
    /// Removed objects are recorded with their generation, so that a late call
    /// does not create them again.
    pub tombstone: bool,
    /// A call with an older generation than a previous call is refused.
    pub generation: bool,
    /// Leases of active runs are renewed.
    pub renewal: bool,
    /// Orphaned objects of the infrastructure are removed.
    pub sweep: bool,
    /// Transactions aborted by the database are repeated.
    pub retry: bool,
    /// A process detects the end of a lease by its monotonic clock. This does
    /// not work on a machine whose clocks were suspended too.
    pub validity: bool,
}

impl Default for Safeguards {
    fn default() -> Self {
        Self {
            fence: true,
            tombstone: true,
            generation: true,
            renewal: true,
            sweep: true,
            retry: true,
            validity: true,
        }
    }
}
