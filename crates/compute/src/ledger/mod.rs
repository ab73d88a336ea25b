//! The ledger: every object of a host that we make, written before it is
//! made and dropped after it is gone.

mod leaks;
pub(crate) mod table;

pub(crate) use leaks::leaks;
