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
//! | `GET tasks?busy=ID,ID&wait=S` | | [`Task`] besides those, or 204 after S seconds |
//! | `POST tasks/{id}` | [`TaskResult`] | 204 |
//! | `POST observed` | [`Observed`] | 204 |
//! | `GET peers?known=V&wait=S` | | [`Peers`], or 204 after S seconds |
//!
//! All but `hello` carry `Authorization: Bearer <session>`. A refusal has a
//! [`Problem`] as its body. 401 and 403 are final, everything else is tried
//! again. Every call may come twice: the agent repeats what it got no answer
//! for. Receivers ignore fields that they do not know, so that an old agent
//! lives with a new server and the other way round.

mod greet;
mod kube;
mod member;
mod observed;
mod shy;
mod task;

pub use greet::{Hello, Role, Seed, Step, StepStatus, Steps, SwarmPlan, Welcome};
pub use kube::{Addon, KubePlan, Peer, Peers, Purpose};
pub use member::{CsrAsk, CsrGrant, JoinTicket, Published, Ready};
pub use observed::{Observed, ObservedNode};
pub use task::{Task, TaskKind, TaskResult};

use serde::{Deserialize, Serialize};

/// Where compute puts the seed before the container starts.
pub const SEED_PATH: &str = "/var/lib/jeroboam/seed.json";
/// Prefix of every route.
pub const PREFIX: &str = "/bootstrap/v1";
/// Seconds of a long poll that agents ask for.
pub const LONG_POLL_SECONDS: u32 = 25;

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
}
