//! The state of a cluster as observed from inside.

use serde::{Deserialize, Serialize};

use crate::Addon;
use crate::bounds::{self, Bounded, FieldError, Message};

/// An observation of a manager; sent when it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub nodes: Vec<ObservedNode>,
    /// Whether the kernel has IPVS, which virtual addresses and ingress
    /// publishing require.
    pub ipvs: bool,
    /// The engine's version, `20.10.24`.
    pub version: String,
    /// The problem of the cluster's API; `None`: healthy.
    #[serde(default)]
    pub problem: Option<String>,
    #[serde(default)]
    pub addons: Vec<Addon>,
}

/// Values of Docker's API; Kubernetes values are converted to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNode {
    pub hostname: String,
    pub id: String,
    /// `manager`, `worker`.
    pub role: String,
    /// `active`, `pause`, `drain`.
    pub availability: String,
    /// `ready`, `down`, `unknown`, `disconnected`.
    pub state: String,
    pub addr: String,
    /// `reachable`, `unreachable`; null for workers.
    pub reachability: Option<String>,
    pub leader: bool,
}

impl Bounded for Observed {
    fn check(&self) -> Result<(), FieldError> {
        bounds::each("nodes", &self.nodes, bounds::NODES)?;
        bounds::text("version", &self.version, bounds::WORD)?;
        bounds::optional("problem", self.problem.as_deref(), bounds::REASON)?;
        bounds::each("addons", &self.addons, bounds::ADDONS)
    }
}

impl Message for Observed {
    const MAX_BYTES: usize = 2 * 1024 * 1024;
}

impl Bounded for ObservedNode {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("hostname", &self.hostname, bounds::NAME)?;
        bounds::text("id", &self.id, bounds::NAME)?;
        bounds::text("role", &self.role, bounds::WORD)?;
        bounds::text("availability", &self.availability, bounds::WORD)?;
        bounds::text("state", &self.state, bounds::WORD)?;
        bounds::text("addr", &self.addr, bounds::ADDRESS)?;
        let reachability = self.reachability.as_deref();
        bounds::optional("reachability", reachability, bounds::WORD)
    }
}
