//! Node groups: nodes of one role, size and kind. They are the units that a
//! cluster is planned in.

pub(crate) mod default;
pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod table;
pub(crate) mod wire;

pub(crate) use model::{Group, MAX_NODES};
