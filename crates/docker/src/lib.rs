//! The infrastructure ports over the Docker Engine API: a container host and a
//! network fabric with one user-defined bridge per network.

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

pub use engine::{DEFAULT_URL, Engine};
