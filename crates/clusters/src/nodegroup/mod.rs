//! Node groups: the masters and the workers of a cluster.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod table;
pub(crate) mod wire;

pub(crate) use model::{Group, MASTER, WORKER};
