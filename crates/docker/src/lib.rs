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
mod host;
mod isolate;
mod pull;
mod spec;
#[cfg(test)]
mod tests;
mod user_namespaces;

pub use engine::{DEFAULT_URL, Engine};
pub use runtime::grants::{Pool as UserIdPool, RUNTIME};
