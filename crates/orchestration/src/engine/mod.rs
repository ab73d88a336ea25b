//! The engine: what is ready, acting on it, what it all means for the stack.
//!
//! `graph` and `world` with its parts (`scope`, `forward`, `cleanup`,
//! `conclude`) are pure; `run` loads, calls faces and writes. An intent is
//! committed before its effect, with the id that the effect will use.

mod cache;
mod cleanup;
mod conclude;
mod forward;
mod graph;
mod group;
mod outcome;
mod parts;
mod run;
mod scope;
mod world;

#[cfg(test)]
mod tests;

pub(crate) use graph::Graph;
pub(crate) use run::Engine;
