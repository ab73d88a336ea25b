//! Rules that exclude packets of a network from the host's connection tracking, and drop
//! those that claim to be from the host. Where bridged packets pass iptables, the host
//! would otherwise track what nodes send to one another:
//! - With a forged source, root in a node could make it appear that the host, or
//!   another network, has opened a connection to the node. The node's packets would then
//!   pass as replies.
//! - One cluster could use up the connections that the host can track
//!   (`net.netfilter.nf_conntrack_max`).
//!
//! Only packets from addresses of the network to the host or to others are tracked. Pods
//! have other addresses, and their packets stay in the network. No I/O.

use std::collections::BTreeSet;

use super::rules::{Family, Isolated, Rules};

/// The chain of the table `raw` that precedes connection tracking.
const CHAIN: &str = "PREROUTING";
const NOTRACK: &str = "-j CT --notrack";

/// The rules of a network in their order, as printed by `iptables -S`.
fn rules(family: Family, network: &Isolated) -> Vec<String> {
    let device = &network.device;
    match (family, network.cidr) {
        (Family::V4, Some(cidr)) => vec![
            format!("-i {device} -m addrtype --src-type LOCAL -j DROP"),
            format!("! -s {cidr} -i {device} {NOTRACK}"),
            // Packets to the host are tracked, because published ports need that.
            format!("-s {cidr} -d {cidr} -i {device} -m addrtype ! --dst-type LOCAL {NOTRACK}"),
        ],
        (Family::V4, None) => Vec::new(),
        // Nothing of the host is open by IPv6.
        (Family::V6, _) => vec![format!("-i {device} {NOTRACK}")],
    }
}

/// The script that gives these networks their rules; `None` if they have them.
pub(super) fn restoring(existing: &Rules, family: Family, networks: &[Isolated]) -> Option<String> {
    let missing = networks.iter().flat_map(|network| rules(family, network));
    let missing = missing.filter(|rule| !existing.of(CHAIN).contains(rule));
    script(missing.map(|rule| format!("-A {CHAIN} {rule}")))
}

/// The script that removes the rules of these devices; `None` if there are none.
pub(super) fn removing(existing: &Rules, devices: &BTreeSet<String>) -> Option<String> {
    let is_of = |rule: &&String| device(rule).is_some_and(|name| devices.contains(name));
    let found = existing.of(CHAIN).iter().filter(is_of);
    script(found.map(|rule| format!("-D {CHAIN} {rule}")))
}

/// The bridges of the engine that have rules.
pub(super) fn devices(existing: &Rules) -> BTreeSet<String> {
    let found = existing.of(CHAIN).iter().filter_map(|rule| device(rule));
    found
        .filter(|name| name.starts_with("br-"))
        .map(str::to_owned)
        .collect()
}

/// The device of one of our rules.
fn device(rule: &str) -> Option<&str> {
    let is_ours = rule.ends_with(NOTRACK) || rule.ends_with("--src-type LOCAL -j DROP");
    let mut words = rule.split(' ').skip_while(|word| *word != "-i");
    words.nth(1).filter(|_| is_ours)
}

fn script(lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| format!("*raw\n{}\nCOMMIT\n", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(device: &str, cidr: &str) -> Isolated {
        Isolated {
            device: device.into(),
            gateway: None,
            cidr: Some(cidr.parse().unwrap()),
            owner: None,
        }
    }

    #[test]
    fn each_network_has_its_rules_and_those_of_others_stay() {
        let networks = [
            network("br-a", "172.30.0.0/24"),
            network("br-b", "172.30.1.0/24"),
        ];
        let first = rules(Family::V4, &networks[0]);
        let existing = Rules::parse(&format!(
            "-P PREROUTING ACCEPT\n-A PREROUTING -i eth0 {NOTRACK}\n-A PREROUTING {}\n",
            first.join("\n-A PREROUTING ")
        ));
        let script = restoring(&existing, Family::V4, &networks).unwrap();
        assert_eq!(script.matches("-i br-b ").count(), 3, "{script}");
        assert!(!script.contains("-i br-a "), "{script}");
        assert_eq!(restoring(&existing, Family::V4, &networks[..1]), None);
        let devices = ["br-a".to_owned(), "br-b".to_owned()].into();
        let removal = removing(&existing, &devices).unwrap();
        assert_eq!(removal.matches("-D PREROUTING").count(), 3, "{removal}");
        assert!(!removal.contains("eth0"), "{removal}");
        assert_eq!(removing(&existing, &["br".to_owned()].into()), None);
        assert_eq!(super::devices(&existing), ["br-a".to_owned()].into());
    }

    #[test]
    fn by_ipv6_nothing_is_tracked() {
        let script = restoring(
            &Rules::default(),
            Family::V6,
            &[network("br-a", "172.30.0.0/24")],
        );
        assert_eq!(
            script.unwrap(),
            "*raw\n-A PREROUTING -i br-a -j CT --notrack\nCOMMIT\n"
        );
    }
}
