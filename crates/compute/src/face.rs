//! The faces of compute and images, in the words of Nova and Glance. Ids of
//! servers come from the caller, who stored them first: repeating a create
//! finds what exists, deleting what is absent is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{Ctx, OwnerKey, Result};
use serde::{Deserialize, Serialize};

/// Status of a server, Nova's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServerStatus {
    Build,
    Active,
    Shutoff,
    Paused,
    Error,
    /// Being removed; then the row goes.
    Deleting,
}

/// Where a server is attached: to a port, or to a network (then a port is
/// made with it and removed with it).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Attach {
    Port(String),
    Network(String),
}

#[derive(Debug, Clone, Default)]
pub struct NewServer {
    pub id: String,
    pub project_id: String,
    pub user_id: String,
    pub name: String,
    /// Id or name.
    pub image: String,
    /// Id or name.
    pub flavor: String,
    pub key_name: Option<String>,
    pub networks: Vec<Attach>,
    pub security_groups: Vec<String>,
    /// Put at `/var/lib/jeroboam/seed.json` (mode 0600) before the start.
    pub user_data: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub owner: Option<OwnerKey>,
}

/// A failure that a server tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub code: u16,
    /// What happened, on which host, and what to do.
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub id: String,
    pub project_id: String,
    pub name: String,
    pub status: ServerStatus,
    pub fault: Option<Fault>,
    /// What a build or a delete is doing or waiting for.
    pub progress: Option<String>,
    pub image_id: String,
    pub flavor_id: String,
    pub host: Option<String>,
    /// IPv4 addresses in order of attachment.
    pub addresses: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Flavor {
    pub id: String,
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

/// How a node image is brought up. Decided by the image's property
/// `node_flavour`, else by its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeFlavour {
    /// Built by us, with our agent as its init.
    #[default]
    Own,
    /// `kindest/node`: systemd as its init, kubeadm driven by our agent.
    Kindest,
    /// `rancher/k3s`: our agent as its init, k3s as its child.
    K3s,
}

/// An image, with the properties that decide (`os_distro`).
#[derive(Debug, Clone)]
pub struct Image {
    pub id: String,
    pub name: String,
    pub status: String,
    pub os_distro: Option<String>,
    pub properties: BTreeMap<String, String>,
    /// What the host's engine calls it.
    pub reference: String,
}

impl Image {
    /// # Errors
    /// Invalid `node_flavour`, naming the value and those that are known.
    pub fn flavour(&self) -> Result<NodeFlavour> {
        crate::image::flavour(&self.properties, &self.reference)
    }
}

/// An image that an operator has built on the hosts.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// Registering a name again replaces the reference and the properties.
    pub name: String,
    pub os_distro: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub reference: String,
}

impl NewImage {
    /// # Errors
    /// As [`Image::flavour`].
    pub fn flavour(&self) -> Result<NodeFlavour> {
        crate::image::flavour(&self.properties, &self.reference)
    }
}

impl std::fmt::Display for NodeFlavour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[async_trait]
pub trait Servers: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server>;
    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Server>;
    /// The servers that were made for an owner, by name, in one query.
    async fn of_owner(&self, ctx: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>>;
    /// Starts the removal; it is over when `show` says `NotFound`.
    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()>;
    /// Makes the server anew, empty, with the same id, name, host and ports
    /// and this user data; what it held is gone. One that is being built, or
    /// that was rebuilt for the same generation of the caller, is left alone.
    ///
    /// # Errors
    /// `Conflict` where a newer generation has called, or it is being removed.
    async fn rebuild(&self, ctx: &Ctx, id: &str, user_data: &str) -> Result<Server>;
    /// Last lines of the console.
    async fn console(&self, ctx: &Ctx, id: &str, lines: u32) -> Result<String>;
}

#[async_trait]
pub trait Flavors: Send + Sync {
    /// By id or name; `NotFound` else.
    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Flavor>;
    async fn list(&self, ctx: &Ctx) -> Result<Vec<Flavor>>;
}

#[async_trait]
pub trait Keypairs: Send + Sync {
    async fn find(&self, ctx: &Ctx, name: &str) -> Result<Keypair>;
}

#[async_trait]
pub trait Images: Send + Sync {
    /// By id or name; `NotFound` else, `Conflict` where ambiguous.
    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Image>;
    async fn list(&self, ctx: &Ctx) -> Result<Vec<Image>>;
    async fn register(&self, ctx: &Ctx, new: NewImage) -> Result<Image>;
}

/// The face: one trait object per noun.
#[derive(Clone)]
pub struct ComputeFace {
    pub servers: Arc<dyn Servers>,
    pub flavors: Arc<dyn Flavors>,
    pub keypairs: Arc<dyn Keypairs>,
    pub images: Arc<dyn Images>,
}
