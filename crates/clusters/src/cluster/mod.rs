//! Clusters: accepted by the API, built as stacks, and reconciled on events.

mod apply;
pub(crate) mod create;
pub(crate) mod heal;
pub(crate) mod health;
pub(crate) mod http;
pub(crate) mod isolation;
pub(crate) mod master_reports;
pub(crate) mod model;
pub(crate) mod new;
mod node_range;
pub(crate) mod operation;
pub(crate) mod ops;
pub(crate) mod plan;
pub(crate) mod progress;
mod range_table;
pub(crate) mod reconcile;
pub(crate) mod resize;
pub(crate) mod servers;
pub(crate) mod shown_table;
pub(crate) mod signal;
mod size;
mod stack;
pub(crate) mod table;
mod view;
pub(crate) mod wire;

pub(crate) use model::Cluster;

/// Kind of the keys of the reconciler.
pub(crate) const KIND: &str = "cluster";
