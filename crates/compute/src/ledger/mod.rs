//! The ledger: every object of a host that we make, written before it is
//! made and dropped after it is gone.

mod leaks;
mod sweep;
pub(crate) mod table;

pub(crate) use leaks::leaks;
pub(crate) use sweep::sweep;
