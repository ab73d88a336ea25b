//! The service: its routes and its reconcilers.

use std::sync::Arc;

use flow::{Reconciler, Tasks};
use kernel::Result;

use crate::{Bootstrap, ClustersDeps, api, cluster};

/// The service.
#[derive(Clone)]
pub struct Clusters(pub(crate) Arc<ClustersDeps>);

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

    /// Routes for agents, for the TLS listener of nodes. The views of clusters are
    /// updated in `tasks`.
    pub fn bootstrap(&self, tasks: &Tasks) -> Bootstrap {
        Bootstrap::new(self.0.clone(), tasks)
    }

    /// Reconcilers to register in a [`flow::Driver`].
    #[must_use]
    pub fn reconcilers(&self) -> Vec<Arc<dyn Reconciler>> {
        vec![Arc::new(cluster::reconcile::Clusters(self.0.clone()))]
    }
}
