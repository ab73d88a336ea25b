//! Heat-compatible stacks: parse, validate, run a graph of resources on `flow`.

pub mod face;

pub use face::OrchestrationFace;
