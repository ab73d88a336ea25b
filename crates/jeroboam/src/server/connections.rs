//! The limits of the two kinds of listeners, as configured or else derived from
//! the limit of open files, which they share.

use rest::limits::{Connections, Settings};

use super::descriptors;
use crate::config::Limits;

/// Descriptors reserved for the database, the engine and the listening sockets.
const RESERVED: u64 = 256;
/// Range of the number of connections of the API, which gets an eighth of the
/// descriptors.
const API_LEAST: u64 = 64;
const API_MOST: u64 = 2048;
/// Range of the number of connections of agents, which get the remaining descriptors.
const AGENTS_LEAST: u64 = 64;
const AGENTS_MOST: u64 = 100_000;
/// Maximum size of the head of a request of an agent, bytes.
const AGENT_HEADER_BYTES: u32 = 16 * 1024;

/// Connections of this server.
pub struct ServerConnections {
    pub api: Connections,
    pub agents: Connections,
}

impl ServerConnections {
    /// Raises the limit of open files first.
    pub fn new(limits: &Limits) -> Self {
        let descriptors = descriptors::raise_limit();
        let api = api(limits, descriptors);
        let agents = agents(limits, descriptors);
        let needed = (api.connections + agents.connections) as u64 + RESERVED;
        if needed > descriptors {
            tracing::warn!(
                needed,
                descriptors,
                "the limit of open files is too low for the limits of connections"
            );
        }
        Self {
            api: Connections::new(api),
            agents: Connections::new(agents),
        }
    }
}

fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn api_share(descriptors: u64) -> u64 {
    (descriptors / 8).clamp(API_LEAST, API_MOST)
}

fn api(limits: &Limits, descriptors: u64) -> Settings {
    let share = api_share(descriptors);
    let connections = count(limits.connections.map_or(share, u64::from));
    // A single source must not be able to use all connections.
    let per_source = count(limits.connections_per_source.into()).min(connections / 2);
    Settings {
        name: "API",
        connections,
        per_source,
        unauthenticated: connections,
        unauthenticated_per_source: per_source,
        all_routes_authenticate: false,
        proxies: limits.proxies.clone(),
        header_bytes: limits.header_bytes,
        timeouts: limits.timeouts(),
    }
}

fn agents(limits: &Limits, descriptors: u64) -> Settings {
    let share = descriptors
        .saturating_sub(RESERVED + api_share(descriptors))
        .clamp(AGENTS_LEAST, AGENTS_MOST);
    let connections = count(limits.agent_connections.map_or(share, u64::from));
    // At least half of the connections remain for authenticated agents.
    let unauthenticated = count(limits.agent_unauthenticated.into()).min(connections / 2);
    Settings {
        name: "agents",
        connections,
        per_source: count(limits.agent_connections_per_source.into()),
        unauthenticated,
        unauthenticated_per_source: count(limits.agent_unauthenticated_per_source.into()),
        // Each route of the bootstrap protocols requires the token of a node or
        // its session.
        all_routes_authenticate: true,
        proxies: Vec::new(),
        header_bytes: AGENT_HEADER_BYTES,
        timeouts: limits.timeouts(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listeners_share_the_descriptors() {
        let shares = |descriptors| {
            let limits = Limits::default();
            let (api, agents) = (api(&limits, descriptors), agents(&limits, descriptors));
            (api.connections, agents.connections, agents.unauthenticated)
        };
        assert_eq!(shares(0), (64, 64, 32));
        assert_eq!(shares(1024), (128, 640, 320));
        assert_eq!(shares(20_000), (2048, 17_696, 1024));
        assert_eq!(shares(1_048_576), (2048, 100_000, 1024));
    }

    #[test]
    fn configured_limits_replace_the_derived_ones() {
        let limits = Limits {
            connections: Some(10),
            agent_connections: Some(20),
            ..Limits::default()
        };
        let (api, agents) = (api(&limits, 1024), agents(&limits, 1024));
        assert_eq!((api.connections, api.per_source), (10, 5));
        assert_eq!((agents.connections, agents.unauthenticated), (20, 10));
    }
}
