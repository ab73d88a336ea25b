//! The port of the network plane: what a fabric realises.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kernel::Result;
use serde::{Deserialize, Serialize};

/// A layer-2 network with one IPv4 subnet on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// Derived from the row's id; the key of idempotency.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// As `10.0.0.0/24`.
    pub cidr: String,
    pub gateway: String,
    /// No way out of the network.
    pub internal: bool,
    pub mtu: Option<u32>,
}

/// A network as the plane tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeView {
    pub name: String,
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub cidr: Option<String>,
    pub gateway: Option<String>,
    /// Name of the Linux device, for firewall rules.
    pub device: Option<String>,
}

/// Networks of a host.
#[async_trait]
pub trait NetworkPlane: Send + Sync {
    /// All networks with our label or our name prefix.
    async fn list(&self) -> Result<Vec<BridgeView>>;

    /// Subnets (any owner) that a new network must not overlap.
    async fn used_cidrs(&self) -> Result<Vec<String>>;

    /// Makes the network unless one of this name exists.
    async fn ensure(&self, spec: &BridgeSpec) -> Result<BridgeView>;

    /// Removes it; absent is done. `Conflict` while containers are attached.
    async fn remove(&self, name: &str) -> Result<()>;
}
