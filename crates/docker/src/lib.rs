//! The infrastructure ports over the Docker Engine API: a container host and
//! a network plane that makes one user-defined bridge per network.

mod create;
mod engine;
mod fault;
mod host;
mod isolate;
mod plane;
mod pull;
mod spec;
#[cfg(test)]
mod tests;

pub use engine::{DEFAULT_URL, Engine};
