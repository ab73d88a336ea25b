//! Agents of simulated nodes, and the deterministic simulation: several
//! servers, their database, the agents and the engine on one thread, with a
//! virtual clock and seeded randomness. Every failure can be repeated by its
//! seed.

mod check;
mod delayed;
mod faults;
mod process;
mod rng;
mod run;
mod server;
mod trace;
mod users;

pub mod agents;

pub use run::{DisabledSafeguard, Options, Outcome, run, run_all};
