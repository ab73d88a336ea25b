//! The protocol between a node's agent and the server. Types only; the agent is
//! in `node`, the server side in `clusters`.
//!
//! ## Protocol 2: a session
//! An agent keeps one HTTP/2 connection (TLS, ALPN `h2`) to
//! `https://<server>/bootstrap/v2/...`. Two of its streams are endless and
//! carry one [`ServerFrame`] per line, whenever something changes:
//!
//! | call | body | frames |
//! |---|---|---|
//! | `POST session` | [`Hello`] with its protocol versions | first [`Accepted`], then join tickets and peers |
//! | `GET tasks` | | tasks and cancellations, for a manager that is able to do them |
//!
//! Each request of the agent is another stream with the same body and answer as
//! in protocol 1: `steps`, `csr`, `published`, `ready`, `tasks/{id}`,
//! `observed`; and `POST unsupported` with [`Unsupported`] for an unknown
//! frame. Byte streams (logs, images, snapshots) will be further streams, which
//! the agent opens when a frame requests them.
//!
//! An agent without a common protocol is refused with 426 and the reason, which
//! is shown in the status of the cluster. 401, 403 and 426 are final. Both
//! sides send PINGs on an idle connection.
//!
//! ## Protocol 1: calls
//! `https://<server>/bootstrap/v1/...` over HTTP/1.1 with JSON bodies, used by
//! agents of the first release.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST hello` | [`Hello`] | [`Welcome`] |
//! | `POST steps` | [`Steps`] | 204 |
//! | `POST csr` | [`CsrRequest`] | [`CsrResponse`] |
//! | `POST published` | [`Published`] | 204 |
//! | `GET join?wait=S` | | [`JoinTicket`], or 204 after S seconds |
//! | `POST ready` | [`Ready`] | 204 |
//! | `GET tasks?busy=ID,ID&wait=S` | | [`Task`] besides those, or 204 after S seconds |
//! | `POST tasks/{id}` | [`TaskResult`] | 204 |
//! | `POST observed` | [`Observed`] | 204 |
//! | `GET peers?known=V&wait=S` | | [`Peers`], or 204 after S seconds |
//!
//! All calls except `hello` carry `Authorization: Bearer <session>`. An error
//! has a [`Problem`] as its body. 401 and 403 are final, all other errors are
//! retried. Every call may be received twice, because the agent repeats
//! unanswered calls. Unknown fields are ignored, so that agents and servers of
//! adjacent releases work together. All fields and bodies have [`bounds`].

pub mod bounds;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod kube;
mod member;
mod observed;
mod problem;
mod protocols;
mod redacted;
mod role;
mod session;
mod task;

pub use handshake::{Hello, Seed, Step, StepStatus, Steps, SwarmPlan, Welcome};
pub use kube::{Addon, KubePlan, Peer, Peers, Purpose};
pub use member::{CsrRequest, CsrResponse, JoinTicket, Published, Ready};
pub use observed::{Observed, ObservedNode};
pub use problem::Problem;
pub use protocols::{
    AGENT_PROTOCOLS, LONG_POLL_SECONDS, PREFIX, PROTOCOL_CALLS, PROTOCOL_SESSION, Protocols,
    SERVER_PROTOCOLS,
};
pub use role::Role;
pub use session::{
    Accepted, Cancel, LineTooLong, Lines, Received, SESSION_PREFIX, ServerFrame, Unsupported,
    no_common_protocol, refusal,
};
pub use task::{Task, TaskKind, TaskResult};

/// Path of the seed, written by compute before the container starts.
pub const SEED_PATH: &str = "/var/lib/jeroboam/seed.json";
