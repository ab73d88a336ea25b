//! The list of all role assignments.

mod expand;
mod filters;
pub(crate) mod http;
mod objects;
mod wire;
