//! The scripts for iptables, compared with their text and executed by a small model
//! of iptables-restore.

use std::slice;

use super::*;

const DEVICE: &str = "br-0123456789ab";

fn network(device: &str, gateway: &str) -> Isolated {
    Isolated {
        device: device.into(),
        gateway: Some(gateway.parse().unwrap()),
        cidr: None,
        owner: Some(("i1".into(), format!("jb-net-{device}"))),
    }
}

fn isolation(outside: bool) -> Isolation {
    Isolation {
        outside,
        host_services: vec!["tcp:5000".parse().unwrap()],
        bootstrap_port: 9512,
    }
}

fn restoring(rules: &Rules, outside: bool, networks: &[Isolated]) -> Option<String> {
    let isolation = isolation(outside);
    let policy = Policy {
        isolation: &isolation,
        name_servers: vec!["169.254.169.254".parse().unwrap()],
        uplinks: ["eth0".to_owned()].into(),
    };
    rules.restoring(Family::V4, &policy, networks)
}

/// Applies a script as the kernel would: to all or to nothing.
fn applied(rules: &Rules, script: &str) -> Result<Rules, String> {
    let mut table = rules.0.clone();
    let lines = script.strip_prefix("*filter\n").unwrap();
    for line in lines.strip_suffix("COMMIT\n").unwrap().lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let chain = words.get(1).copied().unwrap_or_default();
        let rule = words.get(2).copied().unwrap_or_default();
        let missing = || format!("{line}: no such chain or rule");
        match words[0] {
            "-N" if table.contains_key(chain) => return Err(format!("{line}: it exists")),
            "-N" => drop(table.insert(chain.into(), Vec::new())),
            "-A" => table.get_mut(chain).ok_or_else(missing)?.push(rule.into()),
            "-I" => {
                let rule = rule.strip_prefix("1 ").ok_or_else(missing)?;
                let chain = table.get_mut(chain).ok_or_else(missing)?;
                chain.insert(0, rule.into());
            }
            "-D" => {
                let chain = table.get_mut(chain).ok_or_else(missing)?;
                let at = chain.iter().position(|r| r == rule).ok_or_else(missing)?;
                chain.remove(at);
            }
            "-F" => table.get_mut(chain).ok_or_else(missing)?.clear(),
            "-X" => {
                if !table.get(chain).ok_or_else(missing)?.is_empty() {
                    return Err(format!("{line}: not empty"));
                }
                table.remove(chain);
            }
            declared => {
                let chain = declared.strip_prefix(':').ok_or_else(missing)?;
                table.insert(chain.into(), Vec::new());
            }
        }
    }
    Ok(Rules(table))
}

fn empty_host() -> Rules {
    Rules::parse(
        "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER-USER\n\
         -A INPUT -i lo -j ACCEPT\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n",
    )
}

#[test]
fn a_network_reaches_the_outside_but_neither_the_host_nor_its_other_networks() {
    let networks = [network(DEVICE, "172.30.0.1")];
    let script = restoring(&empty_host(), true, &networks).unwrap();
    let reject = "REJECT --reject-with icmp-port-unreachable";
    let reset = "REJECT --reject-with tcp-reset";
    let checked = "-i br-+ -m conntrack ! --ctstate RELATED,ESTABLISHED";
    let comment = "-m comment --comment i1/jb-net-br-0123456789ab";
    assert_eq!(
        script,
        format!(
            "*filter
:JEROBOAM-I-{DEVICE} - [0:0]
:JEROBOAM-F-{DEVICE} - [0:0]
:JEROBOAM-T-{DEVICE} - [0:0]
-N JEROBOAM-FORWARD
-N JEROBOAM-INPUT
-A JEROBOAM-I-{DEVICE} -d 172.30.0.1/32 -p tcp -m tcp --dport 9512 -m connlimit --connlimit-above 4096 --connlimit-mask 0 --connlimit-saddr -j REJECT --reject-with tcp-reset
-A JEROBOAM-I-{DEVICE} -d 172.30.0.1/32 -p tcp -m tcp --dport 9512 -m limit --limit 50/sec --limit-burst 1000 -j ACCEPT
-A JEROBOAM-I-{DEVICE} -d 172.30.0.1/32 -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A JEROBOAM-I-{DEVICE} -p tcp -m tcp --dport 5000 -j ACCEPT
-A JEROBOAM-I-{DEVICE} -d 169.254.169.254/32 -p udp -m udp --dport 53 -j ACCEPT
-A JEROBOAM-I-{DEVICE} -d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j ACCEPT
-A JEROBOAM-I-{DEVICE} -p tcp -j {reset}
-A JEROBOAM-I-{DEVICE} -j {reject}
-A JEROBOAM-INPUT -i {DEVICE} {comment} -j JEROBOAM-I-{DEVICE}
-A JEROBOAM-F-{DEVICE} -o {DEVICE} -j RETURN
-A JEROBOAM-F-{DEVICE} -d 169.254.169.254/32 -p udp -m udp --dport 53 -j RETURN
-A JEROBOAM-F-{DEVICE} -d 169.254.169.254/32 -p tcp -m tcp --dport 53 -j RETURN
-A JEROBOAM-F-{DEVICE} -d 169.254.0.0/16 -p tcp -j {reset}
-A JEROBOAM-F-{DEVICE} -d 169.254.0.0/16 -j {reject}
-A JEROBOAM-F-{DEVICE} -d 168.63.129.16/32 -p tcp -j {reset}
-A JEROBOAM-F-{DEVICE} -d 168.63.129.16/32 -j {reject}
-A JEROBOAM-F-{DEVICE} -d 100.100.100.200/32 -p tcp -j {reset}
-A JEROBOAM-F-{DEVICE} -d 100.100.100.200/32 -j {reject}
-A JEROBOAM-F-{DEVICE} -o br-+ -p tcp -j {reset}
-A JEROBOAM-F-{DEVICE} -o br-+ -j {reject}
-A JEROBOAM-F-{DEVICE} -o docker+ -p tcp -j {reset}
-A JEROBOAM-F-{DEVICE} -o docker+ -j {reject}
-A JEROBOAM-FORWARD -i {DEVICE} {comment} -j JEROBOAM-F-{DEVICE}
-A JEROBOAM-T-{DEVICE} -i {DEVICE} -j RETURN
-A JEROBOAM-T-{DEVICE} -p tcp -j {reset}
-A JEROBOAM-T-{DEVICE} -j {reject}
-A JEROBOAM-FORWARD -o {DEVICE} {comment} -j JEROBOAM-T-{DEVICE}
-I INPUT 1 {checked} -j JEROBOAM-INPUT
-I DOCKER-USER 1 {checked} -j JEROBOAM-FORWARD
COMMIT
"
        )
    );
}

#[test]
fn without_the_outside_everything_but_the_network_is_rejected() {
    let networks = [network(DEVICE, "172.30.0.1")];
    let script = restoring(&empty_host(), false, &networks).unwrap();
    let rules = applied(&empty_host(), &script).unwrap();
    assert_eq!(
        rules.of(&format!("JEROBOAM-F-{DEVICE}")),
        [
            format!("-o {DEVICE} -j RETURN"),
            "-p tcp -j REJECT --reject-with tcp-reset".to_owned(),
            "-j REJECT --reject-with icmp-port-unreachable".to_owned()
        ]
    );
    assert!(!script.contains("--dport 53"), "{script}");
}

#[test]
fn an_uplink_with_the_name_of_a_bridge_is_the_outside() {
    let isolation = isolation(true);
    let policy = Policy {
        isolation: &isolation,
        name_servers: Vec::new(),
        uplinks: ["br-ex".to_owned()].into(),
    };
    let networks = [network(DEVICE, "172.30.0.1")];
    let script = empty_host().restoring(Family::V4, &policy, &networks);
    let rules = applied(&empty_host(), &script.unwrap()).unwrap();
    let forward = rules.of(&format!("JEROBOAM-F-{DEVICE}"));
    let at = |rule: &str| forward.iter().position(|r| r.starts_with(rule)).unwrap();
    assert!(at("-d 169.254.0.0/16") < at("-o br-ex -j RETURN"));
    assert!(at("-o br-ex -j RETURN") < at("-o br-+"));
    let to = rules.of(&format!("JEROBOAM-T-{DEVICE}"));
    assert_eq!(to[1], "-i br-ex -j RETURN");
}

#[test]
fn by_ipv6_nothing_of_the_host_is_reachable() {
    let isolation = isolation(true);
    let policy = Policy {
        isolation: &isolation,
        name_servers: Vec::new(),
        uplinks: BTreeSet::new(),
    };
    let host = Rules::parse("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n");
    let networks = [network(DEVICE, "172.30.0.1")];
    let script = host.restoring(Family::V6, &policy, &networks).unwrap();
    let rules = applied(&host, &script).unwrap();
    let reject = "-j REJECT --reject-with icmp6-port-unreachable";
    let reset = "-p tcp -j REJECT --reject-with tcp-reset";
    assert_eq!(rules.of(&format!("JEROBOAM-I-{DEVICE}")), [reset, reject]);
    let forward = rules.of(&format!("JEROBOAM-F-{DEVICE}"));
    assert_eq!(forward, [&format!("-o {DEVICE} -j RETURN"), reset, reject]);
    assert!(rules.of("FORWARD")[0].ends_with("-j JEROBOAM-FORWARD"));
}

#[test]
fn two_servers_change_only_their_own_rules() {
    let (ours, theirs) = (network(DEVICE, "172.30.0.1"), network("br-b", "172.30.1.1"));
    let first = restoring(&empty_host(), true, slice::from_ref(&ours)).unwrap();
    let rules = applied(&empty_host(), &first).unwrap();
    assert_eq!(restoring(&rules, true, slice::from_ref(&ours)), None);
    let second = restoring(&rules, false, slice::from_ref(&theirs)).unwrap();
    assert!(
        !second.contains(DEVICE) && !second.contains("-N "),
        "{second}"
    );
    let both = applied(&rules, &second).unwrap();
    assert_eq!(restoring(&both, true, slice::from_ref(&ours)), None);
    let devices = both.devices();
    assert_eq!(devices.keys().collect::<Vec<_>>(), [DEVICE, "br-b"]);
    assert_eq!(devices["br-b"], theirs.owner);

    let removal = both.removing(&[DEVICE.to_owned()].into()).unwrap();
    let left = applied(&both, &removal).unwrap();
    assert_eq!(restoring(&left, false, &[theirs]), None);
    assert_eq!(left.removing(&[DEVICE.to_owned()].into()), None);
    // A server that still has the old list of rules changes nothing.
    applied(&left, &removal).unwrap_err();
    let last = left.removing(&["br-b".to_owned()].into()).unwrap();
    assert_eq!(applied(&left, &last).unwrap().0, empty_host().0);
    // The shared chains are in use again in the meantime.
    applied(&both, &last).unwrap_err();
}

#[test]
fn changed_and_deleted_rules_are_restored() {
    let networks = [network(DEVICE, "172.30.0.1")];
    let restored = |rules: &Rules| {
        let script = restoring(rules, true, &networks).unwrap();
        applied(rules, &script).unwrap()
    };
    let whole = restored(&empty_host());
    for (chain, rules) in &whole.0 {
        if chain == "FORWARD" || chain == "OUTPUT" {
            continue;
        }
        for at in 0..rules.len() {
            let mut damaged = Rules(whole.0.clone());
            let rule = damaged.0.get_mut(chain).unwrap().remove(at);
            if rule.contains("JEROBOAM") || chain.contains("JEROBOAM") {
                assert_eq!(restored(&damaged).0.keys().len(), whole.0.keys().len());
                assert_eq!(
                    restoring(&restored(&damaged), true, &networks),
                    None,
                    "{rule}"
                );
            }
        }
    }
}

#[test]
fn the_rule_of_earlier_releases_is_removed() {
    let mut host = empty_host();
    let old = [
        format!("-i {DEVICE} ! -o {DEVICE} -j REJECT --reject-with icmp-port-unreachable"),
        format!("-i {DEVICE} -o ! {DEVICE} -j REJECT --reject-with icmp-port-unreachable"),
        "-i br-other ! -o br-other -j REJECT --reject-with icmp-port-unreachable".to_owned(),
    ];
    for rule in &old {
        host.0
            .get_mut("DOCKER-USER")
            .unwrap()
            .insert(0, rule.clone());
    }
    let networks = [network(DEVICE, "172.30.0.1")];
    let script = restoring(&host, true, &networks).unwrap();
    let rules = applied(&host, &script).unwrap();
    assert_eq!(rules.of("DOCKER-USER").len(), 3);
    assert!(rules.of("DOCKER-USER").contains(&old[2]));
    let removal = host.removing(&[DEVICE.to_owned()].into()).unwrap();
    assert_eq!(applied(&host, &removal).unwrap().of("DOCKER-USER").len(), 2);
}

#[test]
fn owners_are_read_with_and_without_quotes() {
    let owner_of = |rule| owner(rule).map(|(i, n)| format!("{i} {n}"));
    let expected = Some("i1 jb-net-2".to_owned());
    assert_eq!(
        owner_of("-i br-a -m comment --comment i1/jb-net-2 -j X"),
        expected
    );
    assert_eq!(
        owner_of("-i br-a -m comment --comment \"i1/jb-net-2\" -j X"),
        expected
    );
    assert_eq!(owner_of("-i br-a -m comment --comment text -j X"), None);
    assert_eq!(owner_of("-i br-a -j X"), None);
}
