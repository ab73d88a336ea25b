//! Agents of simulated nodes, and the deterministic simulation: several
//! servers, their database, the agents and the engine on one thread, with a
//! virtual clock and seeded randomness. Whatever goes wrong in it can be
//! repeated by its seed.

mod chance;
mod check;
mod delayed;
mod faults;
mod process;
mod run;
mod server;
mod trace;
mod users;

pub mod agents;

pub use run::{Options, Outcome, Without, run, run_all};
