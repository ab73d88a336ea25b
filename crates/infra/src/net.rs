//! The port of the network fabric, which realises networks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use kernel::Result;
use serde::{Deserialize, Serialize};

use crate::{Actor, Events};

/// A layer-2 network with one IPv4 subnet on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// Derived from the id of the row, so that a repeated call finds the
    /// existing network.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub cidr: Ipv4Net,
    pub gateway: Ipv4Addr,
    /// Whether the network has no route out.
    pub internal: bool,
    pub mtu: Option<u32>,
}

/// A network as reported by the fabric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeView {
    pub name: String,
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub cidr: Option<Ipv4Net>,
    pub gateway: Option<Ipv4Addr>,
    /// Name of the Linux device, for firewall rules.
    pub device: Option<String>,
}

/// Networks of a host. Like containers, they are created by name and removed by
/// the id that the host assigned.
#[async_trait]
pub trait NetworkFabric: Send + Sync {
    /// All networks with our label or our name prefix.
    async fn list(&self) -> Result<Vec<BridgeView>>;

    /// All networks with exactly this name, of which an engine may have
    /// several.
    async fn named(&self, name: &str) -> Result<Vec<BridgeView>>;

    /// Subnets of any owner that a new network must not overlap.
    async fn used_cidrs(&self) -> Result<Vec<Ipv4Net>>;

    /// Creates the network. If one of this name exists, [`crate::relation`]
    /// decides: one of the same build is used, one of an older build is removed
    /// first.
    ///
    /// # Errors
    /// [`crate::is_stale`]: a newer build or epoch created it.
    async fn ensure(&self, actor: Actor, spec: &BridgeSpec) -> Result<BridgeView>;

    /// Removes the network with this id; succeeds if it is absent.
    ///
    /// # Errors
    /// `Conflict` while containers are attached.
    async fn remove(&self, actor: Actor, id: &str) -> Result<()>;

    /// Restores settings of these networks outside of the engine that do not
    /// survive a restart of the machine, such as firewall rules.
    async fn restore(&self, networks: &[BridgeView]) -> Result<()>;

    /// Networks that do not exist any more, of which firewall rules are left; name
    /// and labels are set.
    async fn orphaned_rules(&self) -> Result<Vec<BridgeView>>;

    /// Events of networks with our name prefix.
    async fn events(&self) -> Result<Events>;
}
