//! Flavors: the share of a host that a server may use.

mod ops;
mod table;

#[cfg(test)]
pub(crate) use table::FlavorRow;
pub(crate) use table::seed;
