//! Application credentials: secrets that authenticate a user for one project.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod wire;
