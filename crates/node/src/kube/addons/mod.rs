//! Add-ons installed into a cluster by server-side apply, and their states. DNS
//! is part of every cluster; the other add-ons are selected by labels and
//! installed once every node is Ready, without delaying the bootstrap.

mod apply;
mod catalogue;
mod coredns;
mod images;
mod ingress;
mod installer;
mod metadata;
mod metrics_server;
mod monitoring;
mod pod_users;
mod state;

pub(crate) use apply::apply;
pub(crate) use coredns::coredns;
pub(crate) use installer::AddonInstaller;
pub(crate) use metadata::SELECTOR;
pub(crate) use pod_users::pod_users;
pub(crate) use state::{dns_pod_reasons, dns_ready};

#[cfg(test)]
mod tests;
