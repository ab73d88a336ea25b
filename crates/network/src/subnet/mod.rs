//! Subnets: one per network on the `docker-bridge` fabric.

mod model;
mod ops;
pub(crate) mod table;
#[cfg(test)]
mod tests;

pub(crate) use model::SubnetRow;
pub use model::{AUTOMATIC_PREFIX, is_private_range, overlap};
