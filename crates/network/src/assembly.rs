//! The parts of the service for the server that runs it: its interface, its
//! reconcilers and its tasks.

use std::sync::Arc;

use flow::{Reconciler, Tasks};
use infra::Leak;
use kernel::Result;

use crate::network::{self, Bridges};
use crate::{NetworkApi, NetworkService};

impl NetworkService {
    /// Returns the interface of this embedded service.
    #[must_use]
    pub fn api(&self) -> NetworkApi {
        NetworkApi {
            networks: Arc::new(self.clone()),
            subnets: Arc::new(self.clone()),
            ports: Arc::new(self.clone()),
            routers: Arc::new(self.clone()),
            security_groups: Arc::new(self.clone()),
        }
    }

    #[must_use]
    pub fn reconcilers(&self) -> Vec<Arc<dyn Reconciler>> {
        vec![Arc::new(Bridges::new(self.clone()))]
    }

    /// Watches engine events in `tasks`: orphaned bridges are removed, firewall
    /// rules are restored.
    pub fn watch(&self, tasks: &Tasks) {
        network::watch(self.clone(), tasks);
    }

    /// Compares the bridges of the engine with the rows in both directions.
    ///
    /// # Errors
    /// Fails if the fabric or the database fails.
    pub async fn leaks(&self) -> Result<Vec<Leak>> {
        network::leaks(self).await
    }
}
