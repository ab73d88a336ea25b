//! Versions of the protocol.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Prefix of the routes of protocol 1.
pub const PREFIX: &str = "/bootstrap/v1";
/// Seconds of a long poll that agents of protocol 1 ask for.
pub const LONG_POLL_SECONDS: u32 = 25;
/// The first protocol: one HTTP call per request, below [`crate::PREFIX`].
pub const PROTOCOL_CALLS: u32 = 1;
/// The second protocol: a session, below [`crate::SESSION_PREFIX`].
pub const PROTOCOL_SESSION: u32 = 2;
/// Protocol versions of the agent of this release.
pub const AGENT_PROTOCOLS: Protocols = Protocols {
    min: PROTOCOL_SESSION,
    max: PROTOCOL_SESSION,
};
/// Protocol versions of the server of this release: those of this and of the
/// previous release.
pub const SERVER_PROTOCOLS: Protocols = Protocols {
    min: PROTOCOL_CALLS,
    max: PROTOCOL_SESSION,
};

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocols {
    pub min: u32,
    pub max: u32,
}

impl Protocols {
    /// The newest common version.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// Agents of the first release do not send their versions.
impl Default for Protocols {
    fn default() -> Self {
        Self {
            min: PROTOCOL_CALLS,
            max: PROTOCOL_CALLS,
        }
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}..{}", self.min, self.max)
        }
    }
}
