//! Clusters: accepted by the API, built as a stack, followed by event.

pub(crate) mod create;
pub(crate) mod heal;
pub(crate) mod health;
pub(crate) mod http;
mod leave;
mod lost;
pub(crate) mod model;
pub(crate) mod ops;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod reconcile;
pub(crate) mod resize;
pub(crate) mod rollback;
pub(crate) mod settle;
pub(crate) mod signal;
mod stack;
pub(crate) mod table;
pub(crate) mod told;
pub(crate) mod wire;

pub(crate) use model::Cluster;

/// Kind of the reconciler's keys.
pub(crate) const KIND: &str = "cluster";
