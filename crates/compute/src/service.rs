//! The service: its handles and its public methods.

use std::sync::Arc;

use db::Db;
use flow::{Reconciler, Tasks};
use infra::{ContainerHost, LateCalls, Leak};
use kernel::Result;
use network::NetworkApi;
use tokio::sync::{Semaphore, watch};

use crate::host::Engine;
use crate::server::{self, Pulls, Servers};
use crate::{ComputeApi, flavor, keypair, ledger};

/// Seals secrets at rest.
pub trait Sealer: Send + Sync {
    /// # Errors
    /// `Internal` if the key is unusable.
    fn seal(&self, plain: &str) -> Result<String>;
    /// # Errors
    /// `Internal` if the text was not sealed with this key.
    fn open(&self, sealed: &str) -> Result<String>;
}

/// Configuration by the operator.
#[derive(Debug, Clone)]
pub struct ComputeConfig {
    /// Written on each object as [`infra::LABEL_INSTALLATION`].
    pub installation: String,
    /// Overcommit ratio of CPUs; CPU is shared by weight.
    pub cpu_ratio: f64,
    /// Overcommit ratio of memory, for the sum of all limits.
    pub memory_ratio: f64,
    /// Path of the statically linked agent on this machine, which is copied
    /// into nodes of images that were not built by Jeroboam.
    pub agent: String,
}

impl ComputeConfig {
    #[must_use]
    pub fn new(installation: impl Into<String>) -> Self {
        Self {
            installation: installation.into(),
            cpu_ratio: 16.0,
            memory_ratio: 2.0,
            agent: "jeroboam-node".into(),
        }
    }
}

/// The embedded compute service; cheap to clone.
#[derive(Clone)]
pub struct Compute {
    pub(crate) db: Db,
    pub(crate) host: Arc<dyn ContainerHost>,
    pub(crate) network: NetworkApi,
    pub(crate) config: Arc<ComputeConfig>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) engine: Arc<watch::Sender<Engine>>,
    pub(crate) pulls: Pulls,
    pub(crate) late: LateCalls,
    /// Serialises placements of this process, so that those of a stopped server
    /// do not queue for the same row, each holding it until the database aborts
    /// the transaction.
    pub(crate) placing: Arc<Semaphore>,
}

impl Compute {
    #[must_use]
    pub fn new(
        db: Db,
        host: Arc<dyn ContainerHost>,
        network: NetworkApi,
        config: ComputeConfig,
        sealer: Arc<dyn Sealer>,
    ) -> Self {
        Self {
            db,
            host,
            network,
            config: Arc::new(config),
            sealer,
            engine: Arc::new(watch::channel(Engine::default()).0),
            placing: Arc::new(Semaphore::new(1)),
            pulls: Pulls::default(),
            late: LateCalls::default(),
        }
    }

    /// Returns the interface of this embedded service.
    #[must_use]
    pub fn api(&self) -> ComputeApi {
        ComputeApi {
            servers: Arc::new(self.clone()),
            flavors: Arc::new(self.clone()),
            keypairs: Arc::new(self.clone()),
            images: Arc::new(self.clone()),
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
