//! Node groups: nodes of one role, size and kind. The plans of a cluster work on
//! node groups.

pub(crate) mod default;
pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod table;
pub(crate) mod wire;

pub(crate) use model::{Group, MAX_NODES};
