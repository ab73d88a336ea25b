//! Magnum-compatible cluster templates, clusters and certificates, and the
//! server side of the nodes' bootstrap. A cluster is a stack: this crate
//! renders it, hands it to orchestration and follows it by event.

mod bootstrap;
mod call;
mod certificate;
mod cluster;
mod coe;
mod deps;
mod dialect;
mod discovery;
mod errors;
mod fields;
mod kube;
mod links;
mod listing;
mod lookups;
mod names;
mod node;
mod nodegroup;
mod notify;
mod own;
mod patch;
mod policies;
mod router;
mod schema;
mod service;
mod template;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use flow::{Reconciler, Tasks};

pub use bootstrap::Bootstrap;
pub use deps::{BootstrapParams, ClustersDeps};
pub use dialect::Magnum;
pub use schema::migrations;

/// The service.
#[derive(Clone)]
pub struct Clusters(Arc<ClustersDeps>);

impl Clusters {
    #[must_use]
    pub fn new(deps: ClustersDeps) -> Self {
        Self(Arc::new(deps))
    }

    /// Magnum's API; nest it at `/container-infra`. It authenticates itself.
    pub fn routes(&self) -> axum::Router {
        router::routes(self.0.clone())
    }

    /// Our own routes; nest them at `/jeroboam/v1`. They authenticate
    /// themselves.
    pub fn own_routes(&self) -> axum::Router {
        own::routes(self.0.clone())
    }

    /// What agents call, for the nodes' own TLS listener and no other; the
    /// tasks keep what they are told.
    pub fn bootstrap(&self, tasks: &Tasks) -> Bootstrap {
        Bootstrap::new(self.0.clone(), tasks)
    }

    /// What has to run in a [`flow::Driver`].
    #[must_use]
    pub fn reconcilers(&self) -> Vec<Arc<dyn Reconciler>> {
        vec![Arc::new(cluster::reconcile::Clusters(self.0.clone()))]
    }
}

/// Default policies of this service.
#[must_use]
pub fn policies() -> &'static [(&'static str, &'static str)] {
    policies::DEFAULTS
}
