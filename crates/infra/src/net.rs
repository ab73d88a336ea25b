//! The port of the network plane: what a fabric realises.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kernel::Result;
use serde::{Deserialize, Serialize};

use crate::{Actor, Events};

/// A layer-2 network with one IPv4 subnet on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// Derived from the id of the row: repeating a call finds what exists.
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

/// Networks of a host. As with containers, they are made under a name and
/// removed by the id that the host gave them.
#[async_trait]
pub trait NetworkPlane: Send + Sync {
    /// All networks with our label or our name prefix.
    async fn list(&self) -> Result<Vec<BridgeView>>;

    /// All networks of exactly this name: an engine may allow several.
    async fn named(&self, name: &str) -> Result<Vec<BridgeView>>;

    /// Subnets (any owner) that a new network must not overlap.
    async fn used_cidrs(&self) -> Result<Vec<String>>;

    /// Makes the network. Where one of this name exists, [`crate::relation`]
    /// decides: one of the same build is used, one of an older build is
    /// removed first.
    ///
    /// # Errors
    /// [`crate::is_stale`]: a newer build or epoch has made it.
    async fn ensure(&self, actor: Actor, spec: &BridgeSpec) -> Result<BridgeView>;

    /// Removes the network of this id; absent is done.
    ///
    /// # Errors
    /// `Conflict` while containers are attached.
    async fn remove(&self, actor: Actor, id: &str) -> Result<()>;

    /// Applies again what belongs to these networks outside of the engine and
    /// does not survive a restart of the machine, such as firewall rules.
    async fn restore(&self, networks: &[BridgeView]) -> Result<()>;

    /// Events of networks with our name prefix.
    async fn events(&self) -> Result<Events>;
}
