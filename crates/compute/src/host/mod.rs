//! Hosts and their capacity: a server claims its share in the transaction
//! that places it.

mod model;
mod ops;
mod table;

pub(crate) use model::Ask;
pub(crate) use ops::{Placement, place};
pub(crate) use table::release;
