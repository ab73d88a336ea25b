//! Addresses of ports: pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kernel::{Error, Result};

use crate::PortId;

/// The lowest free host address above the network address. `taken` is sorted
/// and holds the gateway as well.
pub(crate) fn next_free(net: &Ipv4Net, taken: &[u32]) -> Option<Ipv4Addr> {
    let last = u32::from(net.broadcast()).checked_sub(1)?;
    let mut candidate = u32::from(net.network()).checked_add(1)?;
    for &used in taken {
        if used == candidate {
            candidate = candidate.checked_add(1)?;
        } else if used > candidate {
            break;
        }
    }
    (candidate <= last).then(|| Ipv4Addr::from(candidate))
}

/// Parses a given fixed address.
///
/// # Errors
/// `Invalid` if it is not a host address of the subnet.
pub(crate) fn parse_ip(net: &Ipv4Net, text: &str) -> Result<Ipv4Addr> {
    text.parse()
        .ok()
        .filter(|ip| net.contains(ip) && *ip != net.network() && *ip != net.broadcast())
        .ok_or_else(|| {
            Error::invalid(
                "ip_address",
                format!("ip_address: '{text}' is no host address of {net}"),
            )
        })
}

/// A locally administered MAC address derived from the id.
pub(crate) fn mac(id: &PortId) -> String {
    let digits: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(10)
        .collect();
    let digits = format!("{digits:0<10}");
    let pairs: Vec<&str> = (0..5)
        .filter_map(|i| digits.get(2 * i..2 * i + 2))
        .collect();
    format!("fa:{}", pairs.join(":")).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_address_is_taken() {
        let net: Ipv4Net = "10.0.0.0/29".parse().unwrap();
        let n = |last: u8| u32::from(Ipv4Addr::new(10, 0, 0, last));
        let free = |taken: &[u32]| next_free(&net, taken).map(|ip| ip.octets()[3]);
        assert_eq!(free(&[n(1)]), Some(2));
        assert_eq!(free(&[n(1), n(2), n(4)]), Some(3));
        assert_eq!(free(&[n(6)]), Some(1));
        assert_eq!(free(&[n(1), n(2), n(3), n(4), n(5), n(6)]), None);
    }

    #[test]
    fn macs_are_unicast_and_local() {
        let m = mac(&"0b5ae9e2-7d8a-4f7c-9b1f-2a6f0e1d3c4b".into());
        assert_eq!(m, "fa:0b:5a:e9:e2:7d");
    }
}
