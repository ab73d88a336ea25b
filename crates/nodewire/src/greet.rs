//! The first words: who the node is, what it is told to be, and how its
//! start goes on.

use serde::{Deserialize, Serialize};

use crate::shy::shy;
use crate::{KubePlan, Protocols};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Manager,
    Worker,
    /// Stands before the API servers of several masters; no member of the
    /// cluster.
    Balancer,
}

/// Who the node is and whom it may trust: `/var/lib/jeroboam/seed.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Address and port; never a name: the agent resolves none.
    pub server: String,
    /// SHA-256 of the listener's certificate in DER, hex.
    pub pin: String,
    /// Works for one session.
    pub token: String,
    /// The cluster's uuid.
    pub cluster: String,
    /// The server's name; becomes the host name.
    pub node: String,
    pub role: Role,
    /// Position in its group.
    pub index: u32,
    pub coe: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Hello {
    pub cluster: String,
    pub node: String,
    pub token: String,
    /// Drawn by the agent: 32 random bytes as hex. The server binds the
    /// token to its hash, so a repeated hello is the same hello.
    pub session: String,
    pub addresses: Vec<String>,
    /// How often this node started, from 1.
    pub boot: u32,
    /// What the agent speaks; protocol 1 where it does not say.
    #[serde(default)]
    pub protocols: Protocols,
    /// The agent's release, for people.
    #[serde(default)]
    pub software: String,
    /// Version of the peers that the agent knows already.
    #[serde(default)]
    pub peers: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub role: Role,
    /// Whether this node makes the swarm; the others join it.
    pub first_manager: bool,
    #[serde(default)]
    pub swarm: Option<SwarmPlan>,
    #[serde(default)]
    pub kubernetes: Option<KubePlan>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmPlan {
    /// Ranges for overlay networks, in CIDR form.
    pub addr_pool: Vec<String>,
    /// Prefix length of each overlay network.
    pub subnet_size: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// In the order in which they happened.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `prepare`, `engine`, `hello`, `certificate`, `tls`, `images`, `init`,
    /// `join`, `ready`.
    pub name: String,
    pub status: StepStatus,
    /// Microseconds since the epoch, by the node's clock.
    pub at_micros: i64,
    /// What happened, for people; empty where there is nothing to say.
    #[serde(default)]
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    Start,
    Ok,
    /// An attempt failed and another one follows; `log` says why.
    Retrying,
    /// The agent gave up: the node will not become ready in this boot.
    Failed,
}

shy!(Seed, server, cluster, node, role, index);
shy!(Hello, cluster, node, addresses, boot, protocols);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_printed() {
        let seed: Seed = serde_json::from_str(
            r#"{"server":"172.30.0.1:9512","pin":"aa","token":"tok-en","cluster":"c","node":"n",
                "role":"manager","index":0,"coe":"swarm","later":1}"#,
        )
        .unwrap();
        assert!(!format!("{seed:?}").contains("tok-en"));
        assert_eq!(seed.role, Role::Manager);
    }
}
