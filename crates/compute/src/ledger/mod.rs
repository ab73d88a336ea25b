//! The ledger: every object that we create on a host, written before its
//! creation and deleted after its removal.

mod leaks;
mod sweep;
pub(crate) mod table;

pub(crate) use leaks::leaks;
pub(crate) use sweep::sweep;
