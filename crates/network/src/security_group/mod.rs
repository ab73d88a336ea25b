//! Security groups: rows only on the `docker-bridge` fabric.

mod ops;
pub(crate) mod table;
