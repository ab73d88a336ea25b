//! Domains: the rows of `project` that act as domains.

pub(crate) mod http;
pub(crate) mod ops;
