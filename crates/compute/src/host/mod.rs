//! Hosts and their capacity: a server claims its share in the transaction
//! that places it.

mod model;
mod ops;
mod table;

pub(crate) use model::Ask;
#[cfg(test)]
pub(crate) use model::HostRow;
pub(crate) use ops::{Engine, Placement, place};
pub(crate) use table::release;
