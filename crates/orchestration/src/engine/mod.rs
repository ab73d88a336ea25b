//! The engine: determines ready steps, performs them, and derives the stack
//! status.
//!
//! `stack_state` is the state of a stack in memory. `conclude` decides what a run
//! does next; `forward` and `cleanup` perform the steps in their queues. These files
//! are pure; `run` loads, calls services and writes. The intent of an effect is
//! committed before the effect starts, with the id that the effect uses.

mod cache;
mod changes;
mod cleanup;
mod conclude;
mod desired;
mod effect;
mod forward;
mod forward_queue;
mod graph;
mod group;
mod group_run;
mod launch;
mod outcome;
mod outputs;
mod removal_queue;
mod resource_changes;
mod resource_index;
mod run;
mod scope;
mod stack_state;
mod step;
mod waiting;

#[cfg(test)]
mod tests;

pub(crate) use graph::Graph;
pub(crate) use run::Engine;
