//! What a simulation may do to a database, and which safeguards it may take
//! away to show that it would notice. Nothing of this exists in a server.

use async_trait::async_trait;
use kernel::Result;

/// A moment at which the database can be slow, fail or lose its answer.
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
    /// After a commit: an error here means that its answer was lost.
    Committed,
    /// A worker's transaction has committed under this lease.
    Fenced {
        kind: &'a str,
        id: &'a str,
        epoch: i64,
    },
}

/// Decides what happens at each point.
#[async_trait]
pub trait Interference: Send + Sync {
    /// Waits as long as the database takes.
    ///
    /// # Errors
    /// What the database answers instead.
    async fn at(&self, point: Point<'_>) -> Result<()>;

    /// Whether another server hears of a commit.
    fn is_heard(&self) -> bool {
        true
    }
}

/// The mechanisms that keep delayed and doubled work harmless. All are on
/// except in a simulation that shows what happens without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safeguards {
    /// A worker's transaction fails when its lease is lost.
    pub fence: bool,
    /// What was removed is remembered with its generation, and not created again
    /// by a late call.
    pub tombstone: bool,
    /// A call of an older generation than one that was seen is refused.
    pub generation: bool,
    /// Leases of living runs are renewed.
    pub renewal: bool,
    /// Objects that the infrastructure made too late are removed.
    pub sweep: bool,
    /// A transaction that the database aborts is repeated.
    pub retry: bool,
    /// A process notices by its own clock that a lease has ended. It does not
    /// where the machine was suspended together with its clocks.
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
