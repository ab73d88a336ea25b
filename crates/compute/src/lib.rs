//! Servers as containers, flavors, keypairs, images and hosts.
//!
//! The container and the volumes of a server are written to the ledger in the
//! transaction that places or rebuilds the server, before they are created; the
//! entries are deleted with the row of the server, after the objects are
//! removed. An object without an entry was created by a call whose answer was
//! lost, and is removed.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests read what they may use from the environment, and start tasks"
    )
)]

pub mod api;
mod assembly;
mod config;
mod flavor;
mod host;
mod ids;
mod image;
mod keypair;
mod ledger;
mod schema;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use api::ComputeApi;
pub use config::{ComputeConfig, Sealer};
pub use ids::{FlavorId, ImageId, ServerId};
pub use schema::{migrations, sealed_columns};
pub use server::container_name;
pub use service::Compute;
