//! Limits and timeouts of connections, for every listener.
//!
//! To admit a new connection, a full listener closes another one that has not sent
//! a complete request, or that waits for its next request. Therefore clients that
//! hold connections without using them cannot keep others out. Requests that were
//! received are never interrupted, except those of a client that was refused
//! before.

mod body;
mod connection;
mod http;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

pub use connection::{Connection, ConnectionCounts, Connections};
pub(crate) use http::LargeHead;
pub use http::{serve_http1, serve_http2};
pub use stream::TimedStream;
pub use table::Refusal;

/// Limits of one kind of listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the listener in the log.
    pub name: &'static str,
    /// Maximum number of connections.
    pub connections: usize,
    /// Maximum number of connections of one source: an IPv4 address, or an
    /// IPv6 network of 64 bits.
    pub per_source: usize,
    /// Maximum number of connections that are neither authenticated nor in use.
    pub unauthenticated: usize,
    pub unauthenticated_per_source: usize,
    /// Whether an answer with success shows that the client of the connection
    /// is authenticated, because no route is public. Such connections are never
    /// closed in favour of others.
    pub all_routes_authenticate: bool,
    /// Sources to which no limit per source applies.
    pub proxies: Vec<IpNet>,
    /// Maximum size of the head of a request, bytes; 8 KiB or more.
    pub header_bytes: u32,
    pub timeouts: Timeouts,
}

/// Timeouts of one connection. Answers have no timeout while the client reads
/// them, so that they can be streams.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request, from the first byte; that of the first
    /// request from the start of the connection.
    pub header: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For [`BODY_PROGRESS`] bytes of a body, or for the rest of it.
    pub body_stall: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without progress while an answer is sent.
    pub write_stall: Duration,
}

/// The amount of a body that must arrive within [`Timeouts::body_stall`],
/// bytes.
pub const BODY_PROGRESS: u64 = 1024;

impl Default for Settings {
    /// For a listener of clients without a limit of descriptors, such as one of
    /// a test.
    fn default() -> Self {
        Self {
            name: "API",
            connections: 1024,
            per_source: 256,
            unauthenticated: 1024,
            unauthenticated_per_source: 256,
            all_routes_authenticate: false,
            proxies: loopback(),
            header_bytes: 64 * 1024,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(15),
            body: Duration::from_secs(60),
            body_stall: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
        }
    }
}

/// Addresses of this machine, where a proxy runs by default.
#[must_use]
pub fn loopback() -> Vec<IpNet> {
    let v4 = ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
    let v6 = ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
    vec![v4.into(), v6.into()]
}

/// The source that an address belongs to: one client of IPv6 has a network of
/// 64 bits.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
