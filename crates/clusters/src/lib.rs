//! Magnum-compatible cluster templates, clusters and certificates, and the
//! server side of the bootstrap protocol. A cluster is a stack: this crate
//! renders its template, creates it through orchestration, and reconciles it on
//! events.

mod api;
mod assignments;
mod authorized;
mod bootstrap;
mod certificate;
mod cluster;
mod coe;
mod deps;
mod dialect;
mod discovery;
mod errors;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod ids;
mod join_secrets;
mod kube;
mod links;
mod listing;
mod lookups;
mod names;
mod node;
mod nodegroup;
mod notify;
mod patch;
mod policies;
mod python;
mod ranges;
mod schema;
mod service;
mod status;
mod template;
mod tokens;
mod versions;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use flow::{Reconciler, Tasks};
use kernel::Result;

pub use bootstrap::Bootstrap;
pub use deps::{BootstrapParams, ClustersDeps};
pub use dialect::Magnum;
pub(crate) use ids::{ClusterId, GroupId, NodeId, TaskId, TemplateId};
pub use policies::CLUSTER_CREATE_HOST_ROOT as CREATE_HOST_ROOT;
pub use policies::policies;
pub use ranges::RangePools;
pub use schema::{migrations, sealed_columns};

/// The service.
#[derive(Clone)]
pub struct Clusters(Arc<ClustersDeps>);

impl Clusters {
    #[must_use]
    pub fn new(deps: ClustersDeps) -> Self {
        Self(Arc::new(deps))
    }

    /// Magnum's API.
    ///
    /// # Errors
    /// `Internal` if the route table is malformed.
    pub fn service(&self) -> Result<rest::Service> {
        api::service(&self.0)
    }

    /// Our own routes of clusters, below `/jeroboam/v1/clusters`; to be listed
    /// before the service of `/jeroboam/v1`.
    ///
    /// # Errors
    /// `Internal` if the route table is malformed.
    pub fn native_service(&self) -> Result<rest::Service> {
        api::native_service(&self.0)
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
