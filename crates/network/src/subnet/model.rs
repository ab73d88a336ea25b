//! Address allocation of subnets: pure.

use std::net::Ipv4Addr;

use db::Json;
use ipnet::Ipv4Net;
use kernel::{Error, OwnerKey, ProjectId, Result, Timestamp};

use crate::api::Subnet;
use crate::network::model::owner_key;
use crate::{NetworkId, SubnetId};

db::table! {
    /// A row of a subnet.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct SubnetRow in "subnet" {
        pub id: SubnetId,
        pub project_id: ProjectId,
        pub network_id: NetworkId,
        pub name: String,
        pub cidr: Ipv4Net,
        pub gateway_ip: Ipv4Addr,
        pub dns: Json<Vec<String>>,
        /// Being removed with its bridge, and no longer visible.
        pub deleting: bool,
        pub owner_kind: Option<String>,
        pub owner_id: Option<String>,
        pub created_at: Timestamp,
    }
}

impl SubnetRow {
    pub(crate) fn owner(&self) -> Option<OwnerKey> {
        owner_key(self.owner_kind.as_ref(), self.owner_id.as_ref())
    }

    pub(crate) fn shown(self) -> Subnet {
        Subnet {
            id: self.id,
            network_id: self.network_id,
            name: self.name,
            cidr: self.cidr,
            gateway_ip: self.gateway_ip,
            dns_nameservers: self.dns.0,
        }
    }
}

/// The ranges that users may choose from: private ones (RFC 1918) and the shared
/// space of carriers (RFC 6598). All others lead to the machine itself or into
/// the Internet.
const PRIVATE: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// Whether users may give this range to their networks.
#[must_use]
pub fn is_private_range(net: &Ipv4Net) -> bool {
    PRIVATE.iter().any(|private| private.contains(net))
}

/// Parses a given `cidr`.
///
/// # Errors
/// `Invalid` if it is malformed, has host bits, contains too few or too many
/// addresses, or is not private.
pub(crate) fn parse_cidr(text: &str) -> Result<Ipv4Net> {
    let wrong = |why: &str| {
        Error::invalid(
            "cidr",
            format!("cidr: '{text}' {why}; write it as 10.0.0.0/24"),
        )
    };
    let net: Ipv4Net = text
        .parse()
        .map_err(|_| wrong("is no IPv4 network address"))?;
    if net.addr() != net.network() {
        return Err(wrong("has bits set behind its prefix"));
    }
    // A larger one would take most of a private range from all other projects.
    if !(16..=29).contains(&net.prefix_len()) {
        return Err(wrong("must have a prefix length from 16 to 29"));
    }
    if !is_private_range(&net) {
        return Err(wrong(
            "is not within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
        ));
    }
    Ok(net)
}

/// The given gateway, or the first address.
///
/// # Errors
/// `Invalid` if it is not a host address of the subnet.
pub(crate) fn gateway(net: &Ipv4Net, given: Option<&str>) -> Result<Ipv4Addr> {
    let first = Ipv4Addr::from(u32::from(net.network()) + 1);
    let Some(given) = given else { return Ok(first) };
    given
        .parse()
        .ok()
        .filter(|ip| net.contains(ip) && *ip != net.network() && *ip != net.broadcast())
        .ok_or_else(|| {
            Error::invalid(
                "gateway_ip",
                format!("gateway_ip: '{given}' is no host address of {net}; {first} would be"),
            )
        })
}

/// Whether two ranges have addresses in common.
#[must_use]
pub fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Prefix length of the ranges that the service chooses.
pub const AUTOMATIC_PREFIX: u8 = 24;

/// The `skip`-th free /24 of the pool; after a collision, concurrent servers
/// retry with another `skip`.
pub(crate) fn choose(pool: &Ipv4Net, used: &[Ipv4Net], skip: usize) -> Option<Ipv4Net> {
    let mut taken: Vec<(u32, u32)> = used
        .iter()
        .map(|u| (u32::from(u.network()), u32::from(u.broadcast())))
        .collect();
    taken.sort_unstable();
    let (mut next, end) = (u32::from(pool.network()), u32::from(pool.broadcast()));
    let mut left = skip;
    let mut i = 0;
    while next.checked_add(255)? <= end {
        while taken.get(i).is_some_and(|(_, last)| *last < next) {
            i += 1;
        }
        match taken.get(i) {
            // A smaller nested range may follow a wider one, so the ends are
            // checked again in the next iteration.
            Some((first, last)) if *first <= next + 255 => {
                next = next.max((last | 255).checked_add(1)?);
                i += 1;
            }
            _ if left == 0 => return Ipv4Net::new(Ipv4Addr::from(next), AUTOMATIC_PREFIX).ok(),
            _ => {
                left -= 1;
                next = next.checked_add(256)?;
            }
        }
    }
    None
}
