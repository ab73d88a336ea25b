//! The interfaces of compute and images, with Nova's and Glance's terms. The
//! caller generates and stores the ids of servers first: a repeated create
//! returns the existing server, and deleting an absent one succeeds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use async_trait::async_trait;
pub use infra::{Isolation, OfferedIsolation};
use kernel::{Ctx, OwnerKey, ProjectId, Result, UserId};
use network::{NetworkId, PortId};
use serde::{Deserialize, Serialize};

use crate::{FlavorId, ImageId, ServerId};

/// Status of a server, with Nova's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServerStatus {
    Build,
    Active,
    Shutoff,
    Paused,
    Error,
    /// Being removed; the row is deleted afterwards.
    Deleting,
}

/// Network attachment of a server: an existing port, or a network (a port is
/// then created and removed with the server).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Attach {
    Port(PortId),
    Network(NetworkId),
}

#[derive(Debug, Clone, Default)]
pub struct NewServer {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub name: String,
    /// Id or name.
    pub image: String,
    /// Id or name.
    pub flavor: String,
    pub key_name: Option<String>,
    pub networks: Vec<Attach>,
    pub security_groups: Vec<String>,
    /// Written to `/var/lib/jeroboam/seed.json` (mode 0600) before the start.
    pub user_data: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// Only a host that offers this level runs the server.
    pub isolation: Isolation,
    pub owner: Option<OwnerKey>,
}

/// A failure of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub code: u16,
    /// What failed, on which host, and how to resolve it.
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub name: String,
    pub status: ServerStatus,
    pub fault: Option<Fault>,
    /// Current activity of a build or a removal, or what it waits for.
    pub progress: Option<String>,
    pub image_id: ImageId,
    pub flavor_id: FlavorId,
    pub host: Option<String>,
    /// IPv4 addresses in order of attachment.
    pub addresses: Vec<Ipv4Addr>,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Flavor {
    pub id: FlavorId,
    pub name: String,
    pub vcpus: i64,
    /// MiB.
    pub ram: i64,
    /// GiB.
    pub disk: i64,
}

#[derive(Debug, Clone)]
pub struct Keypair {
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
}

/// How a node image boots. Set by the image property `node_flavour`, otherwise
/// derived from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeFlavour {
    /// Built by Jeroboam, with the agent as its init.
    #[default]
    Own,
    /// `kindest/node`: systemd is the init, the agent runs kubeadm.
    Kindest,
    /// `rancher/k3s`: the agent is the init, k3s runs as its child.
    K3s,
}

/// An image with its properties (such as `os_distro`).
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    pub name: String,
    pub status: String,
    pub os_distro: Option<String>,
    pub properties: BTreeMap<String, String>,
    /// Reference of the image in the engine of the host.
    pub reference: String,
}

/// An image that an operator has built on the hosts.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// Registering an existing name replaces the reference and the properties.
    pub name: String,
    pub os_distro: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub reference: String,
}

#[async_trait]
pub trait Servers: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server>;
    async fn show(&self, ctx: &Ctx, id: &ServerId) -> Result<Server>;
    /// The servers of an owner, ordered by name, in one query.
    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>>;
    /// Starts the removal, which is complete when `show` returns `NotFound`.
    async fn delete(&self, ctx: &Ctx, id: &ServerId) -> Result<()>;
    /// Rebuilds the server from scratch with the same id, name, host and ports
    /// and with this user data; previous contents are deleted. Does nothing for
    /// a server that is being built or was rebuilt for the same generation of
    /// the caller.
    ///
    /// # Errors
    /// `Conflict` if a newer generation has called, or the server is being
    /// removed.
    async fn rebuild(&self, ctx: &Ctx, id: &ServerId, user_data: &str) -> Result<Server>;
    /// Last lines of the console.
    async fn console(&self, ctx: &Ctx, id: &ServerId, lines: u32) -> Result<String>;
}

#[async_trait]
pub trait Flavors: Send + Sync {
    /// By id or name; `NotFound` otherwise.
    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Flavor>;
    async fn list(&self, ctx: &Ctx) -> Result<Vec<Flavor>>;
}

#[async_trait]
pub trait Keypairs: Send + Sync {
    async fn find(&self, ctx: &Ctx, name: &str) -> Result<Keypair>;
}

#[async_trait]
pub trait Images: Send + Sync {
    /// By id or name; `NotFound` otherwise, `Conflict` if ambiguous.
    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Image>;
    async fn list(&self, ctx: &Ctx) -> Result<Vec<Image>>;
    async fn register(&self, ctx: &Ctx, new: NewImage) -> Result<Image>;
}

#[async_trait]
pub trait Hosts: Send + Sync {
    /// The strongest isolation level that new servers can have.
    ///
    /// # Errors
    /// `Unavailable` if no host has ever answered.
    async fn isolation(&self) -> Result<OfferedIsolation>;
}

/// The interface of the service: one trait object per kind of resource.
#[derive(Clone)]
pub struct ComputeApi {
    pub servers: Arc<dyn Servers>,
    pub flavors: Arc<dyn Flavors>,
    pub keypairs: Arc<dyn Keypairs>,
    pub images: Arc<dyn Images>,
    pub hosts: Arc<dyn Hosts>,
}
