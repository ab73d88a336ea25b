//! Flavors: how much of a host a server may use.

mod ops;
mod table;

pub(crate) use table::seed;
