//! Ports: an address in a network, kept for a device.

mod model;
mod ops;
pub(crate) mod table;
