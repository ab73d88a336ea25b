//! Ports: an address in a network, reserved for a device.

mod model;
mod ops;
pub(crate) mod table;
