//! The port of a container host.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::Pin;

use async_trait::async_trait;
use kernel::Result;
use serde::{Deserialize, Serialize};

use crate::Actor;

/// Privilege level of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NodeAccess {
    /// An ordinary container.
    #[default]
    Plain,
    /// For cluster nodes: the capabilities and devices that a nested engine
    /// needs, no seccomp, unmasked paths, private cgroup namespace. Root in such
    /// a container can become root on the host unless the container has a user
    /// namespace ([`Isolation`]).
    Node,
}

/// How far a container is separated from its host; fixed when the container is
/// created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// No user namespace: root in a node can become root on the host.
    #[default]
    HostRoot,
    /// A user namespace with a range of user ids that no other container on the
    /// host has: root in the container is an unprivileged user on the host.
    UserNamespace,
}

db::stored_enum! { Isolation: HostRoot = "host-root", UserNamespace = "user-namespace" }

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_stored())
    }
}

/// The strongest isolation level that a host offers; it offers the weaker ones
/// as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedIsolation {
    pub level: Isolation,
    /// What the host lacks for a stronger level, and what to do; `None` for the
    /// strongest.
    pub missing: Option<String>,
}

impl OfferedIsolation {
    /// A host with everything that user namespaces need.
    #[must_use]
    pub fn full() -> Self {
        Self {
            level: Isolation::UserNamespace,
            missing: None,
        }
    }

    /// A host without user namespaces for containers.
    #[must_use]
    pub fn host_root(missing: impl Into<String>) -> Self {
        Self {
            level: Isolation::HostRoot,
            missing: Some(missing.into()),
        }
    }

    /// Whether a container of this level can run on the host.
    #[must_use]
    pub fn includes(&self, level: Isolation) -> bool {
        level == Isolation::HostRoot || self.level == level
    }
}

/// A file that is written before the container starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileSpec {
    /// Absolute path.
    pub path: String,
    /// Unix mode, as `0o600`.
    pub mode: u32,
    pub content: Vec<u8>,
}

/// An attachment to a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the network on the host.
    pub network: String,
    pub ipv4: Option<Ipv4Addr>,
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

/// A program of the server's machine that is copied into a container before it
/// starts, because the image does not contain it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// Path on the server's machine.
    pub source: String,
    /// Absolute path in the container; mode 0755.
    pub target: String,
}

/// Specification of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Derived from the id of the row, so that a repeated call finds the
    /// existing container.
    pub name: String,
    pub hostname: String,
    pub image: String,
    pub command: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Processor time, 1024 for one vCPU: the weight, and the limit.
    pub cpu_shares: Option<i64>,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Maximum number of processes and threads. Absent in containers that earlier
    /// releases stored in the simulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
    pub access: NodeAccess,
    /// Absent in containers that earlier releases stored in the simulator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolation: Isolation,
    pub files: Vec<FileSpec>,
    pub endpoints: Vec<Endpoint>,
    pub volumes: Vec<VolumeSpec>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_timeout: i64,
    /// Restarted by the engine unless it was stopped explicitly.
    pub restart: bool,
    /// Additional settings for images that were not built by Jeroboam.
    #[serde(default)]
    pub foreign: Foreign,
}

/// Additional settings of a container whose image was not built by Jeroboam;
/// the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// Replaces the entrypoint and the command of the image.
    pub entrypoint: Option<Vec<String>>,
    /// Whether the init of the engine is PID 1; `None`: the default of the
    /// engine.
    pub init: Option<bool>,
    pub tty: bool,
    /// Paths with a tmpfs, instead of those of [`NodeAccess::Node`].
    pub tmpfs: Vec<String>,
    /// Directories of the host that are mounted read-only at the same path. The
    /// simulator has stored them under another name from its first release on.
    #[serde(rename = "shown")]
    pub read_only_mounts: Vec<String>,
    pub program: Option<ProgramSpec>,
    /// Whether a missing image is pulled from its registry.
    pub pull: bool,
}

fn is_default(isolation: &Isolation) -> bool {
    *isolation == Isolation::default()
}

/// State of a container, as reported by its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    Dead,
}

/// A container, as reported by its host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerView {
    /// Id in the engine.
    pub id: String,
    pub name: String,
    pub state: ContainerState,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// Explanation of the state by the host, such as a start error.
    pub error: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Network name to IPv4 address.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// Number of automatic restarts by the host.
    #[serde(default)]
    pub restarts: i64,
    /// Only an inspection provides it.
    #[serde(default)]
    pub isolation: Option<Isolation>,
}

/// What a host reserves for containers outside of them: ranges of user ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reservations {
    /// The names of the containers, existing or not.
    pub containers: Vec<String>,
    /// Reservations that no server can attribute or release.
    pub invalid: Vec<InvalidReservation>,
}

/// A reservation that an operator has to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidReservation {
    /// Its name on the host.
    pub name: String,
    /// What is wrong and what to do.
    pub hint: String,
}

/// A named volume, as reported by its host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeView {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// An image on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageView {
    pub id: String,
    pub tags: Vec<String>,
    /// Bytes.
    pub size: i64,
    pub labels: BTreeMap<String, String>,
}

/// Properties and capacity of a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostInfo {
    pub name: String,
    /// Id of the engine, which survives restarts of the engine and the machine
    /// and differs between any two engines.
    pub engine_id: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub version: String,
    pub api_version: String,
    pub architecture: String,
    pub isolation: OfferedIsolation,
}

/// An event of a container or a network: its state should be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Value of [`crate::LABEL`]; empty if the host does not send labels.
    pub id: String,
    pub name: String,
    /// The action as named by the host, such as `die`, `start`, `oom`.
    pub action: String,
}

/// Events of a host; the stream ends when events may have been lost.
pub type Events = Pin<Box<dyn futures_util::Stream<Item = Observed> + Send>>;

/// A host that runs containers.
///
/// Containers are created under a name derived from the id of a row, and
/// changed and removed by the id that the host assigned: when a delayed call
/// arrives, the name may belong to a successor, the id never does.
#[async_trait]
pub trait ContainerHost: VolumeStore + ImageStore + Send + Sync {
    async fn info(&self) -> Result<HostInfo>;

    /// All containers with our label or our name prefix. Absence is concluded
    /// only from this and from `inspect`.
    async fn list(&self) -> Result<Vec<ContainerView>>;

    /// Finds a container by name or engine id. Returns `None` only if the host
    /// reports that it does not exist.
    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>>;

    /// Creates the container with its volumes and files, without starting it,
    /// and returns its engine id. If one of this name exists,
    /// [`crate::relation`] decides: one of the same build is continued, one of
    /// an older build is removed first.
    ///
    /// # Errors
    /// [`crate::is_stale`]: a newer build or epoch created it. `NotFound`: the
    /// image is missing on the host. `Unavailable` while the host is still
    /// registering a container of this name.
    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String>;

    /// Starts the container with this id; succeeds if it already runs.
    ///
    /// # Errors
    /// [`crate::is_unusable`]: it can never be started again.
    async fn start(&self, actor: Actor, id: &str) -> Result<()>;

    async fn stop(&self, actor: Actor, id: &str, seconds: i64) -> Result<()>;

    /// Removes the container with this id by force; succeeds if it is absent.
    async fn remove(&self, actor: Actor, id: &str) -> Result<()>;

    /// What the host reserves for containers of this installation outside of them.
    async fn reservations(&self, installation: &str) -> Result<Reservations>;

    /// Releases what the host reserves for a container of this name outside of
    /// it: its range of user ids. Does nothing while a container of this name
    /// exists, or if nothing is reserved.
    async fn release(&self, name: &str) -> Result<()>;

    /// The last lines of the output of a container.
    async fn logs(&self, name_or_id: &str, lines: u32) -> Result<String>;

    /// Events of our containers.
    async fn events(&self) -> Result<Events>;
}

/// The named volumes of a host. A volume has no engine id, so each build of a
/// container uses different volume names.
#[async_trait]
pub trait VolumeStore: Send + Sync {
    /// All named volumes with our label or our name prefix.
    async fn volumes(&self) -> Result<Vec<VolumeView>>;

    /// Removes a volume; succeeds if it is absent.
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

    /// Pulls an image from its registry, which takes minutes.
    ///
    /// # Errors
    /// `NotFound` if it could not be pulled, with the reason and a hint.
    async fn pull(&self, reference: &str) -> Result<()>;
}
