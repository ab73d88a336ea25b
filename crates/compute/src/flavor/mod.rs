//! Flavors: how much of a host a server may use.

mod ops;
mod table;

#[cfg(test)]
pub(crate) use table::FlavorRow;
pub(crate) use table::seed;
