//! Servers: one row each, realised as one container.

mod build;
mod flavour;
pub(crate) mod model;
mod observe;
mod ops;
mod plan;
mod pulls;
mod reconcile;
mod remove;
pub(crate) mod table;
mod watch;
mod worker;

pub use model::container_name;
pub(crate) use pulls::Pulls;
pub(crate) use watch::watch;
pub(crate) use worker::Servers;
