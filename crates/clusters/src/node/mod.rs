//! Nodes as their agents report them: identity, steps, session, tasks.

pub(crate) mod brief;
pub(crate) mod model;
mod swarm_table;
pub(crate) mod table;

pub(crate) use brief::NodeBrief;
pub(crate) use model::{Node, NodeStatus, Task};
