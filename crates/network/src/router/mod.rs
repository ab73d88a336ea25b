//! Routers and their interfaces: rows only, the bridge routes by itself.

mod ops;
pub(crate) mod table;
