//! The port of a container host.

use std::collections::BTreeMap;
use std::pin::Pin;

use async_trait::async_trait;
use kernel::Result;
use serde::{Deserialize, Serialize};

use crate::Actor;

/// How much of the machine a container may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NodeAccess {
    /// An ordinary container.
    #[default]
    Plain,
    /// What a cluster node needs: all capabilities that the machine can give,
    /// no seccomp, unmasked paths, all devices, private cgroup namespace.
    Node,
}

/// A file put in place before the container starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileSpec {
    /// Absolute path.
    pub path: String,
    /// Unix mode, as `0o600`.
    pub mode: u32,
    pub content: Vec<u8>,
}

/// A place in a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the network on the host.
    pub network: String,
    pub ipv4: Option<String>,
    pub mac: Option<String>,
    pub aliases: Vec<String>,
}

/// A named volume of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeSpec {
    pub name: String,
    /// Absolute path in the container.
    pub target: String,
}

/// A program of the server's machine that is put into a container before it
/// starts: an image of others does not hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// Where it lies on the server's machine.
    pub source: String,
    /// Absolute path in the container; mode 0755.
    pub target: String,
}

/// A container to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Derived from the id of the row: repeating a call finds what exists.
    pub name: String,
    pub hostname: String,
    pub image: String,
    pub command: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Relative weight of CPU (Docker's cpu shares, 1024 for one vCPU).
    pub cpu_shares: Option<i64>,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    pub access: NodeAccess,
    pub files: Vec<FileSpec>,
    pub endpoints: Vec<Endpoint>,
    pub volumes: Vec<VolumeSpec>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout: i64,
    /// Restarted by the engine unless it was stopped on purpose.
    pub restart: bool,
    /// What differs for images that others have made.
    #[serde(default)]
    pub foreign: Foreign,
}

/// What a container of an image that others have made needs beside the rest;
/// the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// Instead of the image's own; the image's command goes with it.
    pub entrypoint: Option<Vec<String>>,
    /// Whether the engine's own small init is PID 1; `None`: as the engine
    /// is configured.
    pub init: Option<bool>,
    pub tty: bool,
    /// Paths with a tmpfs on them, instead of those of [`NodeAccess::Node`].
    pub tmpfs: Vec<String>,
    /// Directories of the host that are seen at the same path, read-only.
    pub shown: Vec<String>,
    pub program: Option<ProgramSpec>,
    /// Whether an image that the host lacks is pulled from its registry.
    pub pull: bool,
}

/// State of a container as its host tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    Dead,
}

/// A container as its host tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerView {
    /// The host's own id.
    pub id: String,
    pub name: String,
    pub state: ContainerState,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// What the host says why it is in this state, such as a start error.
    pub error: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Network name to IPv4 address.
    pub addresses: BTreeMap<String, String>,
    /// How often the host has started it again by itself.
    #[serde(default)]
    pub restarts: i64,
}

/// A named volume as its host tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeView {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// An image that a host has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageView {
    pub id: String,
    pub tags: Vec<String>,
    /// Bytes.
    pub size: i64,
    pub labels: BTreeMap<String, String>,
}

/// What a host can hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostInfo {
    pub name: String,
    /// The engine's own identity: it stays the same when the engine or its
    /// machine restarts, and differs between any two engines.
    pub engine_id: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub version: String,
    pub api_version: String,
    pub architecture: String,
}

/// Something happened to a container or a network of this host: look again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Value of [`crate::LABEL`]; empty where the host does not tell labels.
    pub id: String,
    pub name: String,
    /// The host's word, such as `die`, `start`, `oom`.
    pub action: String,
}

/// Events of a host; the stream ends when events may have been missed.
pub type Events = Pin<Box<dyn futures_util::Stream<Item = Observed> + Send>>;

/// A host that runs containers.
///
/// Containers are made under a name that is derived from a row's id and are
/// changed and removed by the id that the host gave them: a name may belong
/// to a successor when a delayed call arrives, an id never does.
#[async_trait]
pub trait ContainerHost: VolumeStore + ImageStore + Send + Sync {
    async fn info(&self) -> Result<HostInfo>;

    /// All containers with our label or our name prefix: with `inspect` the
    /// one way to conclude absence.
    async fn list(&self) -> Result<Vec<ContainerView>>;

    /// By name or by the host's id. `None` where the host says that there is
    /// none.
    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>>;

    /// Makes the container (with its volumes and files) and answers the id
    /// that the host gave it. Does not start it. Where one of this name
    /// exists, [`crate::relation`] decides: one of the same build is
    /// continued, one of an older build is removed first.
    ///
    /// # Errors
    /// [`crate::is_stale`]: a newer build or epoch has made it. `NotFound`:
    /// the host lacks the image. `Unavailable` while the host still registers
    /// a container of this name.
    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String>;

    /// Starts the container of this id; a running one stays as it is.
    ///
    /// # Errors
    /// [`crate::is_unusable`]: it can never be started again.
    async fn start(&self, actor: Actor, id: &str) -> Result<()>;

    async fn stop(&self, actor: Actor, id: &str, seconds: i64) -> Result<()>;

    /// Removes the container of this id by force; absent is done.
    async fn remove(&self, actor: Actor, id: &str) -> Result<()>;

    /// The last lines of its output.
    async fn logs(&self, name_or_id: &str, lines: u32) -> Result<String>;

    /// Events of our containers.
    async fn events(&self) -> Result<Events>;
}

/// The named volumes of a host. A volume has no id of its own, so its name
/// has to be different for each build of its container.
#[async_trait]
pub trait VolumeStore: Send + Sync {
    /// All named volumes with our label or our name prefix.
    async fn volumes(&self) -> Result<Vec<VolumeView>>;

    /// Removes it; absent is done.
    ///
    /// # Errors
    /// `Conflict` while a container uses it.
    async fn remove_volume(&self, actor: Actor, name: &str) -> Result<()>;
}

/// The images of a host.
#[async_trait]
pub trait ImageStore: Send + Sync {
    async fn images(&self) -> Result<Vec<ImageView>>;

    /// Whether the host has this image.
    async fn has_image(&self, reference: &str) -> Result<bool>;

    /// Has the host pull an image from its registry: this takes minutes.
    ///
    /// # Errors
    /// `NotFound` where it could not be pulled, with the reason and a remedy.
    async fn pull(&self, reference: &str) -> Result<()>;
}
