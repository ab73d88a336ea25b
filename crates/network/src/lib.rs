//! Networks, subnets, ports, routers and security groups: rows, realised by
//! the `docker-bridge` fabric (one bridge per network with a subnet) through
//! the ports of `infra`.
//!
//! The row of a network is the ledger entry of its bridge `jb-net-<id>`: it
//! exists before the bridge is created and until after it is removed.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests read what they may use from the environment, and start tasks"
    )
)]

pub mod access;
pub mod api;
mod assembly;
mod ids;
mod network;
mod port;
mod router;
mod schema;
mod security_group;
mod service;
mod subnet;
#[cfg(test)]
mod tests;

pub use api::NetworkApi;
pub use ids::{NetworkId, PortId, RouterId, SecurityGroupId, SubnetId};
pub use network::{PUBLIC_ID, host_name, seed};
pub use schema::migrations;
pub use service::{NetworkConfig, NetworkService};
pub use subnet::{AUTOMATIC_PREFIX, is_private_range, overlap};
