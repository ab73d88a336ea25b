//! The rules of isolated networks, and the scripts for iptables-restore that create
//! and remove them. No I/O.
//!
//! ```text
//! INPUT ───────► JEROBOAM-INPUT ──────► JEROBOAM-I-DEVICE  to addresses of the host
//! DOCKER-USER ─► JEROBOAM-FORWARD ─┬──► JEROBOAM-F-DEVICE  from the network to others
//!                                  └──► JEROBOAM-T-DEVICE  from other bridges to the network
//! ```
//! Only packets from bridges that do not belong to a known connection get there, so
//! replies and ICMP errors pass, and the host's other traffic has the cost of one
//! rule. Packets within a network are not tracked (see `untracked`), so they get there
//! as well, if the host filters bridged packets. Servers share the chains without a
//! device; each changes only the rules of the devices of its networks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::policy::{DNS, HostService, Isolation};

/// Condition of the packets that are checked. The engine names bridges `br-ID`.
const CHECKED: &str = "-i br-+ -m conntrack ! --ctstate RELATED,ESTABLISHED";
/// Addresses by which clouds give credentials to their machines: link-local ones
/// nearly everywhere, and those of Azure and of Alibaba Cloud.
const METADATA: [&str; 3] = ["169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32"];
/// Connections of one network to its bootstrap listener. An agent has one or two, and all
/// of them count for the connections that the host can track.
const CONNECTIONS: u32 = 4096;
/// New connections of one network to its bootstrap listener: in a second, and at once. The
/// host tracks a closed connection for two more minutes, so without a limit one cluster
/// could use up what the host can track. The second is enough for a cluster of hundreds of
/// nodes that connect at the same time.
const NEW_CONNECTIONS: (u32, u32) = (50, 1000);
/// Devices of networks of the engine.
const BRIDGES: [&str; 2] = ["br-+", "docker+"];
/// Chains of a device: prefix of the name, shared chain, direction.
const CHAINS: [(&str, &str, &str); 3] = [
    ("JEROBOAM-I-", INPUT, "-i"),
    ("JEROBOAM-F-", FORWARD, "-i"),
    ("JEROBOAM-T-", FORWARD, "-o"),
];
const INPUT: &str = "JEROBOAM-INPUT";
const FORWARD: &str = "JEROBOAM-FORWARD";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    /// Networks have no IPv6 range, but their devices have link-local addresses, by
    /// which nodes would reach the host.
    V6,
}

/// A network to isolate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Isolated {
    pub device: String,
    pub gateway: Option<Ipv4Addr>,
    pub cidr: Option<Ipv4Net>,
    /// Installation and name, which identify the rules of a network that is gone.
    pub owner: Option<(String, String)>,
}

/// What nodes may reach at present.
pub(super) struct Policy<'a> {
    pub isolation: &'a Isolation,
    pub name_servers: Vec<Ipv4Addr>,
    /// Devices of the host's default routes.
    pub uplinks: BTreeSet<String>,
}

/// A table: rules by chain, as printed by `iptables -S`.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<String, Vec<String>>);

impl Family {
    /// The rules that reject what matches `condition`, which is empty or ends with a
    /// space. Clients of TCP get a reset, because the kernel limits the rate of ICMP
    /// errors.
    fn reject(self, condition: &str) -> [String; 2] {
        let unreachable = match self {
            Self::V4 => "icmp-port-unreachable",
            Self::V6 => "icmp6-port-unreachable",
        };
        [
            format!("{condition}-p tcp -j REJECT --reject-with tcp-reset"),
            format!("{condition}-j REJECT --reject-with {unreachable}"),
        ]
    }
}

impl Policy<'_> {
    /// The rules of a chain of a device.
    fn chain(&self, family: Family, prefix: &str, network: &Isolated) -> Vec<String> {
        let device = &network.device;
        let mut rules = match (prefix, family) {
            ("JEROBOAM-I-", Family::V4) => self.services_of_the_host(network),
            ("JEROBOAM-I-", Family::V6) => Vec::new(),
            ("JEROBOAM-F-", Family::V4) => {
                let mut rules = vec![format!("-o {device} -j RETURN")];
                if self.isolation.outside {
                    // The replies to other sources would not reach the network.
                    if let Some(cidr) = network.cidr {
                        rules.extend(family.reject(&format!("! -s {cidr} ")));
                    }
                    rules.extend(self.outside(family));
                    return rules;
                }
                rules
            }
            ("JEROBOAM-F-", Family::V6) => vec![format!("-o {device} -j RETURN")],
            _ => {
                let uplinks = self.named_like_bridges();
                [device]
                    .into_iter()
                    .chain(uplinks)
                    .map(|d| format!("-i {d} -j RETURN"))
                    .collect()
            }
        };
        rules.extend(family.reject(""));
        rules
    }

    fn services_of_the_host(&self, network: &Isolated) -> Vec<String> {
        let accept = |service: &HostService| format!("{} -j ACCEPT", service.arguments());
        let mut rules = Vec::new();
        if let Some(gateway) = network.gateway {
            let port = self.isolation.bootstrap_port;
            let listener = format!("-d {gateway}/32 -p tcp -m tcp --dport {port}");
            rules.push(format!(
                "{listener} -m connlimit --connlimit-above {CONNECTIONS} --connlimit-mask 0 \
                 --connlimit-saddr -j REJECT --reject-with tcp-reset"
            ));
            let (rate, burst) = NEW_CONNECTIONS;
            rules.push(format!(
                "{listener} -m limit --limit {rate}/sec --limit-burst {burst} -j ACCEPT"
            ));
            rules.push(format!(
                "-d {gateway}/32 -p icmp -m icmp --icmp-type 8 -j ACCEPT"
            ));
        }
        rules.extend(self.isolation.host_services.iter().map(accept));
        if self.isolation.outside {
            for server in &self.name_servers {
                rules.extend(
                    DNS.iter()
                        .map(|dns| format!("-d {server}/32 {}", accept(dns))),
                );
            }
        }
        rules
    }

    /// Uplinks of the host that have names like the bridges of the engine.
    fn named_like_bridges(&self) -> impl Iterator<Item = &String> {
        let prefixes = BRIDGES.map(|device| device.trim_end_matches('+'));
        let uplinks = self.uplinks.iter();
        uplinks.filter(move |uplink| prefixes.iter().any(|p| uplink.starts_with(p)))
    }

    /// Everything passes that is not rejected here.
    fn outside(&self, family: Family) -> Vec<String> {
        let mut rules = Vec::new();
        // A name server may have an address of the cloud's metadata service.
        for server in &self.name_servers {
            let dns = DNS.iter().map(|dns| dns.arguments());
            rules.extend(dns.map(|dns| format!("-d {server}/32 {dns} -j RETURN")));
        }
        let reject = |condition: String| family.reject(&condition);
        rules.extend(
            METADATA
                .iter()
                .flat_map(|address| reject(format!("-d {address} "))),
        );
        let uplinks = self.named_like_bridges();
        rules.extend(uplinks.map(|uplink| format!("-o {uplink} -j RETURN")));
        rules.extend(
            BRIDGES
                .iter()
                .flat_map(|device| reject(format!("-o {device} "))),
        );
        rules
    }
}

impl Rules {
    /// Parses the output of `iptables -S`.
    pub(super) fn parse(text: &str) -> Self {
        let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (verb, chain) = (words.next(), words.next());
            let Some(chain) = chain else { continue };
            let found = rules.entry(chain.to_owned()).or_default();
            if verb == Some("-A")
                && let Some(rule) = words.next()
            {
                found.push(rule.trim_end().to_owned());
            }
        }
        Self(rules)
    }

    pub(super) fn of(&self, chain: &str) -> &[String] {
        self.0.get(chain).map_or(&[], Vec::as_slice)
    }

    /// The rules of a chain that jump to another one.
    fn jumps(&self, chain: &str, target: &str) -> impl Iterator<Item = &String> {
        let end = format!("-j {target}");
        let is_jump = move |rule: &&String| rule.ends_with(&end);
        self.of(chain).iter().filter(is_jump)
    }

    /// The chain of the kernel or of the engine from which a shared chain is called.
    /// The engine creates `DOCKER-USER` for IPv6 only if it is configured to.
    fn base(&self, shared: &str) -> &'static str {
        match shared {
            INPUT => "INPUT",
            _ if self.0.contains_key("DOCKER-USER") => "DOCKER-USER",
            _ => "FORWARD",
        }
    }

    /// The rules of earlier releases for a device, which also reject replies.
    fn outdated(&self, device: &str) -> impl Iterator<Item = &String> {
        // iptables prints the negation before or after the name of the option.
        let starts = [
            format!("-i {device} ! -o {device} -j REJECT"),
            format!("-i {device} -o ! {device} -j REJECT"),
        ];
        self.of("DOCKER-USER")
            .iter()
            .filter(move |rule| starts.iter().any(|start| rule.starts_with(start)))
    }

    /// The script that gives these networks their rules; `None` if they have them.
    pub(super) fn restoring(
        &self,
        family: Family,
        policy: &Policy<'_>,
        networks: &[Isolated],
    ) -> Option<String> {
        let mut script = Script::default();
        for (network, (prefix, shared, direction)) in
            networks.iter().flat_map(|n| CHAINS.map(|chain| (n, chain)))
        {
            let chain = format!("{prefix}{}", network.device);
            let wanted = policy.chain(family, prefix, network);
            if self.of(&chain) != wanted {
                script.replace(&chain, &wanted);
            }
            if self.jumps(shared, &chain).next().is_none() {
                let device = &network.device;
                let comment = network.comment();
                script.then(format!(
                    "-A {shared} {direction} {device}{comment} -j {chain}"
                ));
            }
        }
        if !networks.is_empty() {
            for shared in [INPUT, FORWARD] {
                if !self.0.contains_key(shared) {
                    script.first(format!("-N {shared}"));
                }
                let base = self.base(shared);
                if self.jumps(base, shared).next().is_none() {
                    script.then(format!("-I {base} 1 {CHECKED} -j {shared}"));
                }
            }
        }
        for rule in networks.iter().flat_map(|n| self.outdated(&n.device)) {
            script.then(format!("-D DOCKER-USER {rule}"));
        }
        script.text()
    }

    /// The script that removes all rules of these devices; `None` if there are none.
    pub(super) fn removing(&self, devices: &BTreeSet<String>) -> Option<String> {
        let mut script = Script::default();
        let mut left: BTreeMap<&str, usize> = [INPUT, FORWARD]
            .into_iter()
            .filter_map(|shared| Some((shared, self.0.get(shared)?.len())))
            .collect();
        let before = left.clone();
        for device in devices {
            for (prefix, shared, _) in CHAINS {
                let chain = format!("{prefix}{device}");
                for rule in self.jumps(shared, &chain) {
                    script.then(format!("-D {shared} {rule}"));
                    left.entry(shared).and_modify(|n| *n -= 1);
                }
                if self.0.contains_key(&chain) {
                    script.then(format!("-F {chain}"));
                    script.then(format!("-X {chain}"));
                }
            }
            for rule in self.outdated(device) {
                script.then(format!("-D DOCKER-USER {rule}"));
            }
        }
        for (shared, count) in left {
            // Another server may have just created an empty chain.
            if count > 0 || before.get(shared) == Some(&0) {
                continue;
            }
            for base in ["INPUT", "FORWARD", "DOCKER-USER"] {
                for rule in self.jumps(base, shared) {
                    script.then(format!("-D {base} {rule}"));
                }
            }
            // The kernel refuses this if another server has added a rule, and the
            // whole script with it.
            script.then(format!("-X {shared}"));
        }
        script.text()
    }

    /// The devices that have rules, with the owners of their networks.
    pub(super) fn devices(&self) -> BTreeMap<String, Option<(String, String)>> {
        let mut found = BTreeMap::new();
        for chain in self.0.keys() {
            for (prefix, shared, _) in CHAINS {
                if let Some(device) = chain.strip_prefix(prefix) {
                    let owner = self.jumps(shared, chain).find_map(|rule| owner(rule));
                    let known = found.entry(device.to_owned()).or_insert(None);
                    *known = known.take().or(owner);
                }
            }
        }
        found
    }
}

impl Isolated {
    fn comment(&self) -> String {
        let named = self.owner.as_ref();
        named.map_or_else(String::new, |(installation, name)| {
            format!(" -m comment --comment {installation}/{name}")
        })
    }
}

/// The owner in the comment of a rule.
fn owner(rule: &str) -> Option<(String, String)> {
    let (_, comment) = rule.split_once("--comment ")?;
    let comment = comment.split(' ').next()?.trim_matches('"');
    let (installation, name) = comment.split_once('/')?;
    Some((installation.to_owned(), name.to_owned()))
}

/// The lines of a script, which iptables-restore executes as one transaction.
#[derive(Default)]
struct Script {
    /// Declarations of chains, which empty those that exist.
    chains: Vec<String>,
    rules: Vec<String>,
}

impl Script {
    fn replace(&mut self, chain: &str, rules: &[String]) {
        self.chains.push(format!(":{chain} - [0:0]"));
        let rules = rules.iter().map(|rule| format!("-A {chain} {rule}"));
        self.rules.extend(rules);
    }

    fn first(&mut self, line: String) {
        self.rules.insert(0, line);
    }

    fn then(&mut self, line: String) {
        self.rules.push(line);
    }

    fn text(self) -> Option<String> {
        if self.chains.is_empty() && self.rules.is_empty() {
            return None;
        }
        let lines = [self.chains, self.rules].concat().join("\n");
        Some(format!("*filter\n{lines}\nCOMMIT\n"))
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
