//! The infrastructure ports over the Docker Engine API: a container host and a
//! network fabric with one user-defined bridge per network.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests read what they may use from the environment, and start tasks"
    )
)]

mod create;
mod engine;
mod fabric;
mod fault;
mod firewall;
mod host;
mod program;
mod pull;
mod seccomp;
mod spec;
mod started;
#[cfg(test)]
mod tests;
mod user_namespaces;

pub use engine::{DEFAULT_URL, Engine};
pub use firewall::{HostService, Isolation, missing_for_isolation};
pub use runtime::grants::{Devices, Pool as UserIdPool, RUNTIME};
pub use user_namespaces::invalid_grants;
