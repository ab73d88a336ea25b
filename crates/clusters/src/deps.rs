//! What the service stands on.

use std::sync::Arc;

use compute::ComputeFace;
use db::Db;
use kernel::Enforcer;
use network::NetworkFace;
use orchestration::OrchestrationFace;
use pki::Sealer;

/// Where nodes find the bootstrap listener, beside its address.
#[derive(Debug, Clone)]
pub struct BootstrapParams {
    pub port: u16,
    /// SHA-256 of the listener's certificate, hex.
    pub pin: String,
}

/// What the service stands on.
pub struct ClustersDeps {
    pub db: Db,
    pub enforcer: Arc<dyn Enforcer>,
    pub auth: Arc<dyn rest::Authenticator>,
    pub network: NetworkFace,
    pub compute: ComputeFace,
    pub orchestration: OrchestrationFace,
    pub sealer: Arc<Sealer>,
    pub bootstrap: BootstrapParams,
    /// How long a node's certificates are valid, seconds; its agent renews
    /// them at two thirds.
    pub node_certificate_seconds: u32,
}
