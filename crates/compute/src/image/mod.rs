//! Images that were built or registered on the hosts.

mod model;
mod ops;
mod table;

pub(crate) use model::is_node;
#[cfg(test)]
pub(crate) use table::ImageRow;
