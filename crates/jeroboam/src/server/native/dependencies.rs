//! What the routes use, and the state of their service.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use compute::Compute;
use db::Db;
use flow::Counts;
use infra::ContainerHost;
use network::NetworkService;
use rest::Api;
use rest::limits::Connections;
use rest::policy::Policies;

/// Dependencies of the routes; cheap to clone.
#[derive(Clone)]
pub struct Native(pub Arc<Dependencies>);

pub struct Dependencies {
    pub host: Arc<dyn ContainerHost>,
    pub compute: Compute,
    pub network: NetworkService,
    pub db: Db,
    pub counts: Counts,
    pub agents: clusters::Bootstrap,
    pub agent_connections: Connections,
    pub api_connections: Connections,
    pub policies: Arc<Policies>,
    /// All services, once they are wired.
    pub api: OnceLock<Api>,
    pub document: OnceLock<Bytes>,
}
