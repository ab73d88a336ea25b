//! The cluster as seen from inside.

use serde::{Deserialize, Serialize};

use crate::Addon;

/// The swarm as a manager sees it; sent when it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub nodes: Vec<ObservedNode>,
    /// Whether the kernel has IPVS; without it virtual addresses and ingress
    /// publishing are dead.
    pub ipvs: bool,
    /// The engine's version, `20.10.24`.
    pub version: String,
    /// What is wrong with the cluster's API; `None`: it is well.
    #[serde(default)]
    pub problem: Option<String>,
    #[serde(default)]
    pub addons: Vec<Addon>,
}

/// Words as Docker's API has them; Kubernetes' are put into them.
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
