//! The handles of the service.

use std::sync::Arc;

use db::Db;
use infra::{ContainerHost, LateCalls};
use network::NetworkApi;
use tokio::sync::{Semaphore, watch};

use crate::config::{ComputeConfig, Sealer};
use crate::host::Engine;
use crate::server::Pulls;

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
}
