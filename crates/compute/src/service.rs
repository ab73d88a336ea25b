//! The service: its handles, and what the binary gets from it.

use std::sync::Arc;

use db::Db;
use flow::{Reconciler, Tasks};
use infra::{ContainerHost, LateCalls, Leak};
use kernel::Result;
use network::NetworkFace;
use tokio::sync::{Semaphore, watch};

use crate::host::Engine;
use crate::server::{self, Pulls, Servers};
use crate::{ComputeFace, flavor, keypair, ledger};

/// Keeps secrets unreadable at rest.
pub trait Sealer: Send + Sync {
    /// # Errors
    /// `Internal` where the key is not usable.
    fn seal(&self, plain: &str) -> Result<String>;
    /// # Errors
    /// `Internal` where the text was not sealed by this key.
    fn open(&self, sealed: &str) -> Result<String>;
}

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct ComputeConfig {
    /// Written on each object as [`infra::LABEL_INSTALLATION`].
    pub installation: String,
    /// vCPUs handed out per CPU of a host: CPU is shared by weight.
    pub cpu_ratio: f64,
    /// Memory handed out per memory of a host: the limits' sum.
    pub memory_ratio: f64,
    /// The agent on this machine, statically linked: what is put into nodes
    /// of images that others have made.
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
    pub(crate) network: NetworkFace,
    pub(crate) config: Arc<ComputeConfig>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) engine: Arc<watch::Sender<Engine>>,
    pub(crate) pulls: Pulls,
    pub(crate) late: LateCalls,
    /// One placement at a time claims from the rows of hosts: those of a
    /// server that is stopped do not queue for the same row one after the
    /// other, each holding it until the database gives it up.
    pub(crate) placing: Arc<Semaphore>,
}

impl Compute {
    #[must_use]
    pub fn new(
        db: Db,
        host: Arc<dyn ContainerHost>,
        network: NetworkFace,
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

    /// The face, embedded.
    #[must_use]
    pub fn face(&self) -> ComputeFace {
        ComputeFace {
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

    /// Makes the flavors and the keypair that a newcomer's first template
    /// names, and the row of the host. A host that does not answer yet gets
    /// its row from [`Compute::watch`].
    ///
    /// # Errors
    /// As the database; `Conflict` where this server is connected to another
    /// engine than the one that holds the objects of the database.
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

    /// Follows the host's events in `tasks`: a server's status follows its
    /// container, and what was made too late is removed. Images are pulled in
    /// `tasks` as well.
    pub fn watch(&self, tasks: &Tasks) {
        self.pulls.run_in(tasks);
        server::watch(self.clone(), tasks);
    }

    /// Compares containers and volumes of the host with the ledger, both ways.
    ///
    /// # Errors
    /// As the host and the database.
    pub async fn leaks(&self) -> Result<Vec<Leak>> {
        ledger::leaks(self).await
    }

    /// Removes containers and volumes that calls without an answer have made
    /// too late; [`Compute::watch`] does so whenever there is reason to.
    ///
    /// # Errors
    /// As the host and the database.
    pub async fn sweep(&self) -> Result<()> {
        ledger::sweep(self).await.map(|_| ())
    }
}
