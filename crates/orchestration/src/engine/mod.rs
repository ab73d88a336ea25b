//! The engine: determines ready steps, performs them, and derives the stack
//! status.
//!
//! `graph` and `stack_state` with its parts (`scope`, `forward`, `cleanup`,
//! `conclude`) are pure; `run` loads, calls services and writes. An intent is
//! committed before its effect, with the id that the effect uses.

mod cache;
mod cleanup;
mod conclude;
mod forward;
mod graph;
mod group;
mod outcome;
mod resource_index;
mod run;
mod scope;
mod stack_state;

#[cfg(test)]
mod tests;

pub(crate) use graph::Graph;
pub(crate) use run::Engine;
