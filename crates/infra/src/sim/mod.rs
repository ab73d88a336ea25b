//! The simulator: a host and a network fabric whose state is in a separate
//! SQLite database, shared by all server processes and independent of their
//! lifetime. It has latencies (by default the measured ones), and tests inject faults.
//! A simulation passes a [`FaultInjector`] that decides about every call and event.
//!
//! It uses only `tokio::time` and `kernel::ids` for waiting and randomness, so
//! that a simulation on one thread with a paused clock and a seed is
//! reproducible.

mod agents;
mod config;
mod container_table;
mod containers;
mod effect;
mod engine;
mod engine_process;
mod events;
mod fault;
mod fault_injector;
mod host;
mod images;
mod net;
mod reservations;
mod restart;
mod schema;
mod simulator;
#[cfg(test)]
mod tests;
mod volumes;

pub use agents::SimMember;
pub use config::SimConfig;
pub use effect::Effect;
pub use fault::{SimFault, Step};
pub use fault_injector::{Call, CallKind, Delivery, FaultInjector, InjectedFault, Outcome};
pub use restart::Restart;
pub use simulator::{OnStart, Simulator};
