//! What a node's agent and the server say to each other: the seed file and
//! the bodies of `https://<server>/bootstrap/v1/...`, JSON both ways. Types
//! only; the agent is `node`, the other side lives in `clusters`.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST hello` | [`Hello`] | [`Welcome`] |
//! | `POST steps` | [`Steps`] | 204 |
//! | `POST csr` | [`CsrAsk`] | [`CsrGrant`] |
//! | `POST published` | [`Published`] | 204 |
//! | `GET join?wait=S` | | [`JoinTicket`], or 204 after S seconds |
//! | `POST ready` | [`Ready`] | 204 |
//! | `GET tasks?wait=S` | | [`Task`], or 204 after S seconds |
//! | `POST tasks/{id}` | [`TaskResult`] | 204 |
//! | `POST observed` | [`Observed`] | 204 |
//! | `GET peers?known=V&wait=S` | | [`Peers`], or 204 after S seconds |
//!
//! All but `hello` carry `Authorization: Bearer <session>`. A refusal has a
//! [`Problem`] as its body. 401 and 403 are final, everything else is tried
//! again. Every call may come twice: the agent repeats what it got no answer
//! for. Receivers ignore fields that they do not know, so that an old agent
//! lives with a new server and the other way round.

mod kube;

pub use kube::{Addon, KubePlan, Peer, Peers, Purpose};

use serde::{Deserialize, Serialize};

/// Where compute puts the seed before the container starts.
pub const SEED_PATH: &str = "/var/lib/jeroboam/seed.json";
/// Prefix of every route.
pub const PREFIX: &str = "/bootstrap/v1";
/// Seconds of a long poll that agents ask for.
pub const LONG_POLL_SECONDS: u32 = 25;

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrAsk {
    /// PEM. Name and addresses are the server's to say.
    pub csr: String,
    #[serde(default)]
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsrGrant {
    /// PEM of the certificate.
    pub cert: String,
    /// PEM of the CAs whose clients the node serves; several in a rotation.
    pub ca: String,
}

/// From every manager that is a member, the first one first; again after the
/// tokens were rotated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `ip:2377`.
    pub remote_addr: String,
    pub worker_token: String,
    pub manager_token: String,
    /// PEM of the CA that vouches for the cluster's API where that is not the
    /// cluster's own.
    #[serde(default)]
    pub ca: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTicket {
    pub remote_addrs: Vec<String>,
    /// The one for the asking node's role.
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The swarm's id of the node.
    pub node_id: String,
}

/// Something to do inside the cluster. Repeating one is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    #[serde(flatten)]
    pub kind: TaskKind,
    /// Seconds after which the agent gives up; its own default where null.
    #[serde(default)]
    pub deadline: Option<u32>,
}

/// `node` is a host name in the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TaskKind {
    /// Takes no more work; ends when no task runs on it.
    Drain {
        node: String,
        /// Nodes that are drained after it: they take no more work either,
        /// or what leaves this one would move twice.
        #[serde(default)]
        others: Vec<String>,
    },
    /// Takes work again.
    Activate {
        node: String,
    },
    /// Demotes where needed, drains, takes it off the list. A node that is
    /// not on the list is removed already.
    Remove {
        node: String,
    },
    /// Ends when it is a reachable member of the raft.
    Promote {
        node: String,
    },
    Demote {
        node: String,
    },
    /// A new key and certificate for this node's own TLS listener.
    ReloadCa,
    /// New join tokens; `published` follows.
    RotateTokens,
    /// etcd forgets the members at these addresses, who are dead, and takes
    /// a new one that has no vote yet. Its node starts when this is done.
    AddMember {
        address: String,
        #[serde(default)]
        lost: Vec<String>,
    },
    /// Ends when the member at this address has a vote.
    PromoteMember {
        address: String,
    },
    /// From a newer server. Refused by the agent, never fatal.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    pub ok: bool,
    pub log: String,
}

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

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
}

/// Secrets are left out of what debugging prints.
macro_rules! shy {
    ($kind:ident, $($shown:ident),+) => {
        impl std::fmt::Debug for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($kind))
                    $(.field(stringify!($shown), &self.$shown))+
                    .finish_non_exhaustive()
            }
        }
    };
}
shy!(Seed, server, cluster, node, role, index);
shy!(Hello, cluster, node, addresses, boot);
shy!(Published, remote_addr);
shy!(JoinTicket, remote_addrs);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_flat_and_newer_kinds_survive() {
        let drain: Task =
            serde_json::from_str(r#"{"id":"1","kind":"drain","node":"w-0","deadline":9}"#).unwrap();
        let kind = TaskKind::Drain {
            node: "w-0".into(),
            others: Vec::new(),
        };
        assert_eq!(drain.kind, kind);
        assert_eq!(drain.deadline, Some(9));
        let ca: Task = serde_json::from_str(r#"{"id":"2","kind":"reload-ca"}"#).unwrap();
        assert_eq!(ca.kind, TaskKind::ReloadCa);
        let new: Task = serde_json::from_str(r#"{"id":"3","kind":"dance","node":"x"}"#).unwrap();
        assert_eq!(new.kind, TaskKind::Unknown);
        let text = serde_json::to_string(&drain).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), drain);
    }

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
