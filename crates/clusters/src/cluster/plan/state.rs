//! The input of plans.

use kernel::Timestamp;
use orchestration::api::Stack;

use super::step::NodeFailure;
use crate::cluster::model::Cluster;
use crate::coe::Coe;
use crate::node::{Node, Task};

/// What a cluster should become: its row and its nodes.
#[derive(Clone, Copy)]
pub(crate) struct Desired<'a> {
    pub(crate) coe: Coe,
    pub(crate) cluster: &'a Cluster,
    pub(crate) nodes: &'a [Node],
}

/// What is known of a cluster at the time `now`.
#[derive(Clone, Copy)]
pub(crate) struct Observed<'a> {
    pub(crate) tasks: &'a [Task],
    /// `None` only if a lookup confirmed its absence.
    pub(crate) stack: Option<&'a Stack>,
    /// Awaited nodes whose servers are in error.
    pub(crate) failures: &'a [NodeFailure],
    pub(crate) now: Timestamp,
}
