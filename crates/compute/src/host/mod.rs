//! Hosts and their capacity: the transaction that places a server also claims
//! capacity.

mod model;
mod ops;
mod table;

#[cfg(test)]
pub(crate) use model::HostRow;
pub(crate) use model::{Engine, ResourceRequest};
pub(crate) use ops::{Placement, place};
pub(crate) use table::release;
