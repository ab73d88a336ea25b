//! What nodes may reach: the settings of the operator, and the name servers of
//! the host.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use kernel::{Error, Result};

/// Where the host's resolver is configured. The second file has the servers if the
/// first one names only the resolver of systemd, which the engine replaces as well.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What nodes of isolated networks may reach beyond their network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Whether nodes reach addresses outside of this host.
    pub outside: bool,
    /// Services of this host for all nodes.
    pub host_services: Vec<HostService>,
    /// Port of the bootstrap listener on the gateway of each network.
    pub bootstrap_port: u16,
}

/// A port of the host, such as `tcp:5000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostService {
    protocol: Protocol,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

impl HostService {
    const fn new(protocol: Protocol, port: u16) -> Self {
        Self { protocol, port }
    }

    /// Protocol and port as arguments of iptables.
    pub(super) fn arguments(self) -> String {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        format!("-p {protocol} -m {protocol} --dport {}", self.port)
    }
}

/// Ports of a name server.
pub(super) const DNS: [HostService; 2] = [
    HostService::new(Protocol::Udp, 53),
    HostService::new(Protocol::Tcp, 53),
];

/// # Errors
/// `Invalid`, with the value and the format.
impl FromStr for HostService {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(protocol, port)| {
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            };
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some(Self { protocol, port })
        });
        parsed.ok_or_else(|| {
            Error::invalid(
                "host_services",
                format!("'{text}' is not a service of the host; use \"tcp:PORT\" or \"udp:PORT\""),
            )
        })
    }
}

impl fmt::Display for HostService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol}:{}", self.port)
    }
}

/// The name servers that the engine gives to nodes. The engine itself asks those on
/// loopback addresses.
pub(super) fn host_name_servers() -> Vec<Ipv4Addr> {
    let found = RESOLVERS.iter().map(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        name_servers(&text)
    });
    found
        .into_iter()
        .find(|s| !s.is_empty())
        .unwrap_or_default()
}

fn name_servers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver");
        server.and_then(|_| words.next()?.parse().ok())
    });
    servers.filter(|s: &Ipv4Addr| !s.is_loopback()).collect()
}

/// Devices of the host's default routes.
pub(super) fn uplinks() -> BTreeSet<String> {
    default_routes(&std::fs::read_to_string("/proc/self/net/route").unwrap_or_default())
}

/// Devices of the default routes in the format of `/proc/net/route`.
fn default_routes(table: &str) -> BTreeSet<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        is_default.then(|| fields[0].to_owned())
    });
    routes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_protocol_and_a_port() {
        for text in ["tcp:5000", "udp:53"] {
            assert_eq!(text.parse::<HostService>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "5000",
            "tcp:",
            "tcp:0",
            "tcp:65536",
            "sctp:1",
            "tcp:a",
            "tcp:1:2",
        ] {
            let e = text.parse::<HostService>().unwrap_err();
            assert!(e.message.starts_with(&format!("'{text}' is not")), "{e}");
        }
    }

    #[test]
    fn name_servers_on_loopback_are_left_to_the_engine() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 127.0.0.53\n\
                    nameserver 169.254.169.254\n nameserver  192.0.2.53 \nnameserver ::1\nnameserver\n";
        let servers: Vec<String> = name_servers(text).iter().map(|s| s.to_string()).collect();
        assert_eq!(servers, ["169.254.169.254", "192.0.2.53"]);
    }

    #[test]
    fn uplinks_have_default_routes() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                     br-ex\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n\
                     eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
        assert_eq!(default_routes(table), ["br-ex".to_owned()].into());
        assert!(default_routes("br-ex\t00000000\n").is_empty());
    }
}
