//! Security groups: rows only on the `docker-bridge` fabric.

mod ops;
mod table;
