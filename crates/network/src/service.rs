//! The service: its handles, and what the binary gets from it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use db::Db;
use flow::{Reconciler, Tasks};
use infra::{LateCalls, Leak, NetworkPlane};
use ipnet::Ipv4Net;
use kernel::Result;
use tokio::sync::watch;

use crate::NetworkFace;
use crate::network::{self, Bridges};

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Subnets without a `cidr` get a free /24 from here.
    pub pool: Ipv4Net,
    /// Written on each bridge as [`infra::LABEL_INSTALLATION`].
    pub installation: String,
}

impl NetworkConfig {
    /// The default pool, 172.30.0.0/15: 512 networks.
    #[must_use]
    pub fn new(installation: impl Into<String>) -> Self {
        Self {
            pool: Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 15),
            installation: installation.into(),
        }
    }
}

/// The embedded network service; cheap to clone.
#[derive(Clone)]
pub struct NetworkService {
    pub(crate) db: Db,
    pub(crate) plane: Arc<dyn NetworkPlane>,
    pub(crate) config: Arc<NetworkConfig>,
    pub(crate) gateways: Arc<watch::Sender<BTreeSet<Ipv4Addr>>>,
    pub(crate) late: LateCalls,
}

impl NetworkService {
    #[must_use]
    pub fn new(db: Db, plane: Arc<dyn NetworkPlane>, config: NetworkConfig) -> Self {
        Self {
            db,
            plane,
            config: Arc::new(config),
            gateways: Arc::new(watch::channel(BTreeSet::new()).0),
            late: LateCalls::default(),
        }
    }

    /// The face, embedded.
    #[must_use]
    pub fn face(&self) -> NetworkFace {
        NetworkFace {
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

    /// Follows the engine's events in `tasks`: bridges that were made too late
    /// are removed, firewall rules are restored.
    pub fn watch(&self, tasks: &Tasks) {
        network::watch(self.clone(), tasks);
    }

    /// The gateway addresses of bridges that exist: an address can be bound
    /// as long as it is in here. Filled by [`Self::load_gateways`] and by the
    /// reconciler of this process.
    #[must_use]
    pub fn gateways(&self) -> watch::Receiver<BTreeSet<Ipv4Addr>> {
        self.gateways.subscribe()
    }

    /// Reads the gateways of all active networks from the rows: to be called
    /// once at start, and again whenever other servers share the database.
    ///
    /// # Errors
    /// As the database.
    pub async fn load_gateways(&self) -> Result<()> {
        let found = network::table::gateways(&self.db).await?;
        self.gateways.send_if_modified(|set| {
            let changed = *set != found;
            *set = found;
            changed
        });
        Ok(())
    }

    /// Compares the bridges of the engine with the rows, both ways.
    ///
    /// # Errors
    /// As the plane and the database.
    pub async fn leaks(&self) -> Result<Vec<Leak>> {
        network::leaks(self).await
    }
}
