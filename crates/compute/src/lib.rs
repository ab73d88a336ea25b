//! Servers as containers, flavors, keypairs, images and hosts.
//!
//! A server's container and volume are written to the ledger in the
//! transaction that places the server, before they are made; the entries go
//! with the server's row, after they are removed.

pub mod face;
mod flavor;
mod host;
mod image;
mod keypair;
mod ledger;
mod schema;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use face::ComputeFace;
pub use schema::migrations;
pub use server::{container_name, volume_name};
pub use service::{Compute, ComputeConfig, Sealer};
