//! The parts of the service for the server that runs it: its interface, its
//! reconcilers and its tasks.

use std::sync::Arc;

use flow::{Reconciler, Tasks};
use infra::Leak;
use kernel::Result;

use crate::server::{self, Servers};
use crate::{Compute, ComputeApi, flavor, keypair, ledger};

impl Compute {
    /// Returns the interface of this embedded service.
    #[must_use]
    pub fn api(&self) -> ComputeApi {
        ComputeApi {
            servers: Arc::new(self.clone()),
            flavors: Arc::new(self.clone()),
            keypairs: Arc::new(self.clone()),
            images: Arc::new(self.clone()),
            hosts: Arc::new(self.clone()),
        }
    }

    #[must_use]
    pub fn reconcilers(&self) -> Vec<Arc<dyn Reconciler>> {
        vec![Arc::new(Servers::new(self.clone()))]
    }

    /// Inserts the flavors and the keypair that the default template uses, and
    /// the row of the host. The row of a host that does not answer yet is
    /// inserted by [`Compute::watch`].
    ///
    /// # Errors
    /// As the database; `Conflict` if this server is connected to a different
    /// engine than the one with the objects of the database.
    pub async fn seed(&self) -> Result<()> {
        flavor::seed(&self.db).await?;
        keypair::seed(&self.db).await?;
        match self.refresh_host().await {
            Err(e) if e.is_transient() => {
                tracing::warn!(error = %e, "the container host does not answer yet");
                Ok(())
            }
            done => done,
        }
    }

    /// Watches host events in `tasks`: statuses of servers follow their
    /// containers, and orphaned objects are removed. Images are pulled in
    /// `tasks` as well.
    pub fn watch(&self, tasks: &Tasks) {
        self.pulls.run_in(tasks);
        server::watch(self.clone(), tasks);
    }

    /// Compares containers and volumes of the host with the ledger in both
    /// directions.
    ///
    /// # Errors
    /// Fails if the host or the database fails.
    pub async fn leaks(&self) -> Result<Vec<Leak>> {
        ledger::leaks(self).await
    }

    /// Removes containers and volumes created by calls whose answer was lost;
    /// [`Compute::watch`] calls it when needed.
    ///
    /// # Errors
    /// Fails if the host or the database fails.
    pub async fn sweep(&self) -> Result<()> {
        ledger::sweep(self).await.map(|_| ())
    }
}
