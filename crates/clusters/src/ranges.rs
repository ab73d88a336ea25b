//! The ranges that users may give to their clusters.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use network::is_private_range;

/// The private ranges in which users choose the ranges of nodes, pods and
/// services. The ranges of nodes are also networks of the hosts.
#[derive(Debug, Clone, Default)]
pub struct RangePools {
    /// Those that the operator configured.
    allowed: Vec<Ipv4Net>,
    /// Where the server chooses the ranges of nodes.
    automatic: Option<Ipv4Net>,
}

impl RangePools {
    /// `allowed`: the pools that the operator configured; if empty, all private
    /// ranges. `automatic`: the pool in which the server chooses the ranges of nodes
    /// whose users choose none.
    #[must_use]
    pub fn new(allowed: Vec<Ipv4Net>, automatic: Option<Ipv4Net>) -> Self {
        Self { allowed, automatic }
    }

    /// The pool in which the server chooses the ranges of nodes.
    pub(crate) fn automatic(&self) -> Option<Ipv4Net> {
        self.automatic
    }

    pub(crate) fn contain(&self, net: &Ipv4Net) -> bool {
        let allowed = self.allowed.is_empty() || self.allowed.iter().any(|pool| pool.contains(net));
        allowed && is_private_range(net)
    }

    /// Whether the nodes of a cluster can have this range. It must not have more
    /// addresses than the largest cluster needs, because all projects share the
    /// private ranges, and it must not have host bits.
    pub(crate) fn allow_nodes(&self, net: &Ipv4Net) -> bool {
        (22..=28).contains(&net.prefix_len()) && net.addr() == net.network() && self.contain(net)
    }

    /// The ranges that [`RangePools::contain`] accepts, for errors.
    pub(crate) fn describe(&self) -> String {
        format!("a private IPv4 range{}", self.examples())
    }

    /// The ranges that [`RangePools::allow_nodes`] accepts, for errors.
    pub(crate) fn describe_nodes(&self) -> String {
        let examples = self.examples();
        format!("a private IPv4 range with a prefix length from 22 to 28,{examples}")
    }

    fn examples(&self) -> String {
        if self.allowed.is_empty() {
            return " such as 10.64.3.0/24".to_owned();
        }
        let pools: Vec<String> = self.allowed.iter().map(Ipv4Net::to_string).collect();
        format!(" within {}", pools.join(", "))
    }
}

/// The label with the range of the nodes.
const NODES: &str = "fixed_subnet_cidr";

/// The range that labels choose for the nodes. Labels are checked before a cluster is
/// stored.
pub(crate) fn of_nodes(labels: &BTreeMap<String, String>) -> Option<Ipv4Net> {
    labels.get(NODES)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_the_operator_limit_what_users_choose() {
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let all = RangePools::default();
        assert!(all.contain(&net("192.168.0.0/24")) && !all.contain(&net("8.8.8.0/24")));
        let some = RangePools::new(vec![net("10.64.0.0/12"), net("8.0.0.0/8")], None);
        assert!(some.allow_nodes(&net("10.70.1.0/24")));
        for bad in [
            "10.80.0.0/24",
            "10.64.0.0/11",
            "10.64.0.0/15",
            "10.64.0.0/21",
            "10.64.0.1/24",
            "8.8.8.0/24",
        ] {
            assert!(!some.allow_nodes(&net(bad)), "{bad}");
        }
        assert!(some.describe().ends_with("within 10.64.0.0/12, 8.0.0.0/8"));
    }
}
