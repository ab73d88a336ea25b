//! YAML with positions and the intrinsic functions of HOT templates: a pure
//! interpreter with budgets. No I/O, no async.
//!
//! Text becomes a [`Node`] (a tree with positions), a node becomes a
//! [`hot::Template`], a template with parameters becomes a [`hot::Bound`],
//! which evaluates nodes to JSON values.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod hot;
mod node;
mod problem;
mod yaml;

pub use node::{Entry, Kind, Node, Pos};
pub use problem::{Path, Problem, describe};
pub use yaml::{MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};
