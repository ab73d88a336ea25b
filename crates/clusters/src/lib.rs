//! Magnum-compatible cluster templates, clusters and certificates, and the
//! server side of the bootstrap protocol. A cluster is a stack: this crate
//! renders its template, creates it through orchestration, and reconciles it on
//! events.

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
mod native_api;
mod node;
mod nodegroup;
mod notify;
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
pub use cluster::isolation::CREATE_HOST_ROOT;
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

    /// Magnum's API, to be nested at `/container-infra`. It authenticates
    /// requests itself.
    pub fn routes(&self) -> axum::Router {
        router::routes(self.0.clone())
    }

    /// Native routes below `/jeroboam/v1`; they authenticate requests themselves.
    pub fn native_routes(&self) -> axum::Router {
        native_api::routes(self.0.clone())
    }

    /// Routes for agents, for the TLS listener of nodes; `tasks` update views.
    pub fn bootstrap(&self, tasks: &Tasks) -> Bootstrap {
        Bootstrap::new(self.0.clone(), tasks)
    }

    /// Reconcilers to register in a [`flow::Driver`].
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
