//! Nodes as reported by their agents: identity, steps, session, tasks.

pub(crate) mod brief_table;
pub(crate) mod model;
mod swarm_table;
pub(crate) mod table;
pub(crate) mod task;

pub(crate) use brief_table::{self as brief, NodeBrief};
pub(crate) use model::{Node, NodeEvent, NodeStatus};
pub(crate) use task::{Task, TaskKind, TaskStatus};
