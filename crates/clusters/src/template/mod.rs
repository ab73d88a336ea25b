//! Cluster templates: defaults for new clusters.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

pub(crate) use model::Template;
