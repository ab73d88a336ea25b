//! Domains: rows of `project` with `is_domain`.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod wire;
