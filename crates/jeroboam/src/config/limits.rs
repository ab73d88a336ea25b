//! Limits of the listeners.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Result, bail};
use ipnet::IpNet;
use serde::Deserialize;

/// Range of timeouts. A shorter one could expire on a busy machine, and no client
/// needs a longer one.
const SECONDS: RangeInclusive<u32> = 1..=3600;
/// Range of numbers of connections. The minimum is sufficient for tests, and the maximum
/// is more than systems permit.
const CONNECTIONS: RangeInclusive<u32> = 8..=1_000_000;
const PER_SOURCE: RangeInclusive<u32> = 1..=1_000_000;
/// The minimum is the smallest buffer of the HTTP implementation; no head needs
/// the maximum.
const HEADER_BYTES: RangeInclusive<u32> = 8192..=1_048_576;

/// Limits of the listeners.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Maximum number of connections of the API; `None`: derived from the limit
    /// of open files.
    pub connections: Option<u32>,
    /// Maximum number of them from one address, or from one IPv6 network of 64
    /// bits.
    pub connections_per_source: u32,
    /// Addresses of proxies in front of the API, which have no limit per
    /// source.
    pub proxies: Vec<IpNet>,
    /// Maximum number of connections of agents; `None`: derived from the limit
    /// of open files.
    pub agent_connections: Option<u32>,
    pub agent_connections_per_source: u32,
    /// Maximum number of connections to the bootstrap listeners that are not
    /// authenticated.
    pub agent_unauthenticated: u32,
    pub agent_unauthenticated_per_source: u32,
    /// Maximum size of the head of a request to the API.
    pub header_bytes: u32,
    /// Timeouts of both listeners; see [`rest::limits::Timeouts`].
    pub header_seconds: u32,
    pub body_seconds: u32,
    pub body_stall_seconds: u32,
    pub idle_seconds: u32,
    pub write_stall_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_source: 256,
            proxies: rest::limits::loopback(),
            agent_connections: None,
            // An agent of this release has one connection, an agent of the
            // previous release opens one per call.
            agent_connections_per_source: 32,
            agent_unauthenticated: 1024,
            agent_unauthenticated_per_source: 16,
            header_bytes: 64 * 1024,
            header_seconds: 15,
            body_seconds: 60,
            body_stall_seconds: 15,
            idle_seconds: 75,
            write_stall_seconds: 30,
        }
    }
}

impl Limits {
    /// Checks the ranges; an error names the key and the range.
    pub fn check(&self) -> Result<()> {
        let values = [
            ("connections", self.connections, CONNECTIONS),
            (
                "connections_per_source",
                Some(self.connections_per_source),
                PER_SOURCE,
            ),
            ("agent_connections", self.agent_connections, CONNECTIONS),
            (
                "agent_connections_per_source",
                Some(self.agent_connections_per_source),
                PER_SOURCE,
            ),
            (
                "agent_unauthenticated",
                Some(self.agent_unauthenticated),
                CONNECTIONS,
            ),
            (
                "agent_unauthenticated_per_source",
                Some(self.agent_unauthenticated_per_source),
                PER_SOURCE,
            ),
            ("header_bytes", Some(self.header_bytes), HEADER_BYTES),
            ("header_seconds", Some(self.header_seconds), SECONDS),
            ("body_seconds", Some(self.body_seconds), SECONDS),
            ("body_stall_seconds", Some(self.body_stall_seconds), SECONDS),
            ("idle_seconds", Some(self.idle_seconds), SECONDS),
            (
                "write_stall_seconds",
                Some(self.write_stall_seconds),
                SECONDS,
            ),
        ];
        for (key, value, range) in values {
            if let Some(value) = value
                && !range.contains(&value)
            {
                bail!(
                    "config: limits.{key} is {value}; it must be from {} to {}",
                    range.start(),
                    range.end()
                );
            }
        }
        let unauthenticated = self.agent_unauthenticated_per_source;
        let most = self.agent_connections_per_source;
        if unauthenticated > most {
            bail!(
                "config: limits.agent_unauthenticated_per_source is {unauthenticated}; it must \
                 not exceed limits.agent_connections_per_source, which is {most}"
            );
        }
        let (stall, body) = (self.body_stall_seconds, self.body_seconds);
        if stall > body {
            bail!(
                "config: limits.body_stall_seconds is {stall}; it must not exceed \
                 limits.body_seconds, which is {body}"
            );
        }
        Ok(())
    }

    pub fn timeouts(&self) -> rest::limits::Timeouts {
        let seconds = |n: u32| Duration::from_secs(n.into());
        rest::limits::Timeouts {
            header: seconds(self.header_seconds),
            body: seconds(self.body_seconds),
            body_stall: seconds(self.body_stall_seconds),
            idle: seconds(self.idle_seconds),
            write_stall: seconds(self.write_stall_seconds),
            ..rest::limits::Timeouts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<String> {
        let limits: Limits = toml::from_str(text).unwrap();
        limits.check().err().map(|e| e.to_string())
    }

    #[test]
    fn a_limit_out_of_range_is_named_with_its_range() {
        assert_eq!(refusal(""), None);
        assert_eq!(refusal("connections = 8\nproxies = [\"10.0.0.0/8\"]"), None);
        assert_eq!(
            refusal("connections = 7").unwrap(),
            "config: limits.connections is 7; it must be from 8 to 1000000"
        );
        assert_eq!(
            refusal("idle_seconds = 0").unwrap(),
            "config: limits.idle_seconds is 0; it must be from 1 to 3600"
        );
        assert_eq!(
            refusal("header_bytes = 100").unwrap(),
            "config: limits.header_bytes is 100; it must be from 8192 to 1048576"
        );
        assert_eq!(
            refusal("agent_unauthenticated_per_source = 40").unwrap(),
            "config: limits.agent_unauthenticated_per_source is 40; it must not exceed \
             limits.agent_connections_per_source, which is 32"
        );
        assert_eq!(
            refusal("body_seconds = 5").unwrap(),
            "config: limits.body_stall_seconds is 15; it must not exceed limits.body_seconds, \
             which is 5"
        );
    }

    #[test]
    fn timeouts_are_those_of_the_configuration() {
        let limits: Limits = toml::from_str("idle_seconds = 7").unwrap();
        assert_eq!(limits.timeouts().idle, Duration::from_secs(7));
        assert_eq!(limits.timeouts().body, Duration::from_secs(60));
    }
}
