//! Routers and their interfaces: only rows, because the bridge does the
//! routing.

mod ops;
pub(crate) mod table;
