//! Application credentials: secrets of a user that log in to one project.

pub(crate) mod http;
pub(crate) mod ops;
