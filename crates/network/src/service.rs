//! The handles and the configuration of the service.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use db::Db;
use infra::{LateCalls, NetworkFabric};
use ipnet::Ipv4Net;
use kernel::Result;
use tokio::sync::watch;

use crate::network;

/// Configuration by the operator.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Subnets without a `cidr` get a free /24 of this range.
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
    pub(crate) fabric: Arc<dyn NetworkFabric>,
    pub(crate) config: Arc<NetworkConfig>,
    pub(crate) gateways: Arc<watch::Sender<BTreeSet<Ipv4Addr>>>,
    pub(crate) late: LateCalls,
}

impl NetworkService {
    #[must_use]
    pub fn new(db: Db, fabric: Arc<dyn NetworkFabric>, config: NetworkConfig) -> Self {
        Self {
            db,
            fabric,
            config: Arc::new(config),
            gateways: Arc::new(watch::channel(BTreeSet::new()).0),
            late: LateCalls::default(),
        }
    }

    /// The gateway addresses of existing bridges, which can be bound while they
    /// are in this set. Filled by [`Self::load_gateways`] and by the reconciler
    /// of this process.
    #[must_use]
    pub fn gateways(&self) -> watch::Receiver<BTreeSet<Ipv4Addr>> {
        self.gateways.subscribe()
    }

    /// Loads the gateways of all active networks. Called at the start, and
    /// repeatedly if other servers share the database.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn load_gateways(&self) -> Result<()> {
        let found = network::table::gateways(&self.db).await?;
        self.gateways.send_if_modified(|set| {
            let changed = *set != found;
            *set = found;
            changed
        });
        Ok(())
    }
}
