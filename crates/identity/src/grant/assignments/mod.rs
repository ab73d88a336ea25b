//! The list of all role assignments.

pub(crate) mod http;
mod objects;
mod wire;
