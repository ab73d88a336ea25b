//! Dependencies of the service.

use std::sync::Arc;

use compute::ComputeApi;
use db::Db;
use kernel::Enforcer;
use network::NetworkApi;
use orchestration::OrchestrationApi;
use pki::Sealer;

use crate::ranges::RangePools;

/// The state of all routes.
pub(crate) type State = Arc<ClustersDeps>;

/// Address of the bootstrap listener for nodes, apart from its host.
#[derive(Debug, Clone)]
pub struct BootstrapParams {
    pub port: u16,
    /// SHA-256 of the listener's certificate, hex.
    pub pin: String,
}

/// Dependencies of the service.
pub struct ClustersDeps {
    pub db: Db,
    pub enforcer: Arc<dyn Enforcer>,
    pub auth: Arc<dyn rest::Authenticator>,
    pub network: NetworkApi,
    pub compute: ComputeApi,
    pub orchestration: OrchestrationApi,
    pub sealer: Arc<Sealer>,
    pub bootstrap: BootstrapParams,
    /// Where users may choose ranges.
    pub ranges: RangePools,
    /// How long a node's certificates are valid, seconds; its agent renews
    /// them at two thirds.
    pub node_certificate_seconds: u32,
}
