//! Servers as containers, flavors, keypairs, images and hosts.
//!
//! A server's container and volumes are written to the ledger in the
//! transaction that places the server, or begins to rebuild it, before they
//! are made; the entries go with the server's row, after they are removed.
//! What the engine has and the ledger does not know was made too late by a
//! call that got no answer, and is removed.

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
pub use server::container_name;
pub use service::{Compute, ComputeConfig, Sealer};
