//! The bootstrap protocol between cluster nodes and the server: plain data,
//! shared by both sides so that they cannot disagree. HTTPS with JSON under
//! `/bootstrap/v1/`; every call but `hello` carries the node's session.

use serde::{Deserialize, Serialize};

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Manager,
    Worker,
}

/// The seed: put into the node before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seed {
    /// `IP:PORT` of the bootstrap listener.
    pub server: String,
    /// SHA-256 of the listener's certificate (DER), hex.
    pub pin: String,
    /// Works for one node, once.
    pub token: String,
    pub cluster: String,
    /// Name of the server; also its hostname.
    pub node: String,
    pub role: Role,
    pub index: u32,
    pub coe: String,
}

/// `POST hello`: exchanges the token for a session that the node drew itself
/// and stored first, so that repeating it is harmless.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub cluster: String,
    pub node: String,
    pub token: String,
    /// 32 random bytes, hex.
    pub session: String,
    pub addresses: Vec<String>,
    /// Counts the starts of this node.
    pub boot: u64,
}

/// Answer to [`Hello`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    pub role: Role,
    /// Whether this node makes the cluster that the others join.
    pub first_manager: bool,
    pub swarm: SwarmSettings,
}

/// How the first manager makes a swarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SwarmSettings {
    pub addr_pool: Vec<String>,
    pub subnet_size: u32,
}

/// State of a bootstrap step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    Start,
    Ok,
    Failed,
}

/// One report about a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub status: StepStatus,
    /// Microseconds since the Unix epoch.
    pub at_micros: i64,
    #[serde(default)]
    pub log: String,
}

/// `POST steps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Steps {
    pub steps: Vec<Step>,
}

/// `POST csr`: the key never leaves the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Csr {
    /// PEM.
    pub csr: String,
}

/// Answer to [`Csr`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signed {
    /// PEM.
    pub cert: String,
    /// PEM; may hold several.
    pub ca: String,
}

/// `POST published`, by the first manager.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Published {
    /// `IP:2377`.
    pub remote_addr: String,
    pub worker_token: String,
    pub manager_token: String,
}

/// Answer to `GET join?wait=25`; 204 while there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Join {
    pub remote_addrs: Vec<String>,
    pub token: String,
}

/// `POST ready`: the node is a Ready member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// The orchestrator's own id of the node.
    pub node_id: String,
}

/// What a manager is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// No new tasks on the node, wait until none runs there.
    Drain,
    /// Demote where needed, then take the node out of the cluster.
    Remove,
    Promote,
    Demote,
    /// Ask for a new certificate and serve with it.
    ReloadCa,
}

/// Answer to `GET tasks?wait=25`; 204 while there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    pub kind: TaskKind,
    /// Hostname of the node concerned.
    pub node: String,
    pub deadline_secs: u64,
}

/// `POST tasks/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskDone {
    pub ok: bool,
    pub log: String,
}

/// A member as a manager sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub hostname: String,
    pub id: String,
    /// `manager` or `worker`.
    pub role: String,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// `ready`, `down`, `unknown` or `disconnected`.
    pub state: String,
    pub addr: String,
    /// Managers only: `reachable`, `unreachable` or `unknown`.
    #[serde(default)]
    pub reachability: Option<String>,
    #[serde(default)]
    pub leader: bool,
}

/// `POST observed`, by managers, whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub nodes: Vec<Member>,
    /// Whether the kernel has IPVS.
    pub ipvs: bool,
    /// Version of the engine.
    pub version: String,
}

/// Body of every refusal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
}
