//! Security groups: only rows on the `docker-bridge` fabric.

mod ops;
pub(crate) mod table;
