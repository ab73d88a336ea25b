//! What a node's agent and the server say to each other. Types only; the
//! agent is `node`, the other side lives in `clusters`.
//!
//! ## Protocol 2: a session
//! An agent keeps one HTTP/2 connection (TLS, ALPN `h2`) to
//! `https://<server>/bootstrap/v2/...`. Two of its streams have no end and
//! carry a [`ServerFrame`] per line, when something changes:
//!
//! | call | body | frames |
//! |---|---|---|
//! | `POST session` | [`Hello`] with the protocols that it speaks | first [`Accepted`], then join tickets and peers |
//! | `GET tasks` | | tasks and cancellations, for a manager that is able to do them |
//!
//! Each request of the agent is a further stream with the same body and
//! answer as in protocol 1: `steps`, `csr`, `published`, `ready`,
//! `tasks/{id}`, `observed`; and `POST unsupported` with [`Unsupported`] for a
//! frame that it does not know. Streams of bytes (logs, images, snapshots)
//! are to be further streams, which the agent opens when a frame asks for
//! them.
//!
//! An agent whose protocols the server does not speak is refused with 426 and
//! the reason, which the user finds in the status of the cluster. 401, 403 and
//! 426 are final. Both sides send PINGs on an idle connection.
//!
//! ## Protocol 1: calls
//! `https://<server>/bootstrap/v1/...` over HTTP/1.1, JSON both ways; what the
//! agents of the first release speak.
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
mod session;
mod shy;
mod task;

pub use greet::{Hello, Role, Seed, Step, StepStatus, Steps, SwarmPlan, Welcome};
pub use kube::{Addon, KubePlan, Peer, Peers, Purpose};
pub use member::{CsrAsk, CsrGrant, JoinTicket, Published, Ready};
pub use observed::{Observed, ObservedNode};
pub use session::{
    AGENT_PROTOCOLS, Accepted, Cancel, LineTooLong, Lines, PROTOCOL_CALLS, PROTOCOL_SESSION,
    Protocols, Received, SERVER_PROTOCOLS, SESSION_PREFIX, ServerFrame, Unsupported,
    no_common_protocol, refusal,
};
pub use task::{Task, TaskKind, TaskResult};

use serde::{Deserialize, Serialize};

/// Where compute puts the seed before the container starts.
pub const SEED_PATH: &str = "/var/lib/jeroboam/seed.json";
/// Prefix of the routes of protocol 1.
pub const PREFIX: &str = "/bootstrap/v1";
/// Seconds of a long poll that agents of protocol 1 ask for.
pub const LONG_POLL_SECONDS: u32 = 25;

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
}
