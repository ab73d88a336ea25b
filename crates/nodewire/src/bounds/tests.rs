//! Every text, list and map of every message is bounded: each place in a full
//! sample is made too long, and each text gets a NUL, by walking its JSON.

use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    CsrRequest, CsrResponse, Hello, Observed, Published, Ready, Received, Steps, TaskResult,
    Unsupported,
};

/// Paths of all texts, lists and maps in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(all) => {
            found.push(at.to_owned());
            for (i, inner) in all.iter().enumerate() {
                places(inner, &format!("{at}/{i}"), found);
            }
        }
        Value::Object(all) => {
            for (key, inner) in all {
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

/// Words of enums, which the parser bounds.
const ENUMS: [&str; 5] = ["role", "status", "purpose", "kind", "type"];

fn is_enum<T: Serialize>(at: &str) -> bool {
    let last = at.rsplit('/').next().unwrap();
    // The role of an observed node is a text.
    let observed = std::any::type_name::<T>().ends_with("Observed");
    ENUMS.contains(&last) && !observed
}

/// Each place of a sample with a value that is too long, or with NUL.
fn spoilt<T: Serialize>(sample: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    places(sample, "", &mut found);
    for at in found.into_iter().filter(|at| !is_enum::<T>(at)) {
        let mut with = |value: Value| {
            let mut sample = sample.clone();
            *sample.pointer_mut(&at).unwrap() = value;
            all.push((at.clone(), sample));
        };
        match sample.pointer(&at).unwrap() {
            Value::Array(held) => with(Value::Array(vec![held[0].clone(); STEPS.max(NODES) + 1])),
            _ => {
                with(json!("x".repeat(LOG + 1)));
                with(json!("a\0b"));
            }
        }
    }
    all
}

fn every_field_is_bounded<T: Bounded + DeserializeOwned + Serialize>(sample: &Value) {
    let read = |value: &Value| serde_json::from_value::<T>(value.clone()).unwrap();
    read(sample).check().unwrap();
    // The sample has all fields.
    let whole = serde_json::to_value(read(sample)).unwrap();
    assert_eq!(&whole, sample);
    let all = spoilt::<T>(sample);
    assert!(!all.is_empty());
    for (at, value) in all {
        let e = read(&value).check().expect_err(&at);
        let named = e.field.replace(['[', '.'], "/").replace(']', "");
        assert_eq!(format!("/{named}"), at);
    }
}

#[test]
fn every_field_of_a_message_is_bounded() {
    every_field_is_bounded::<Hello>(&json!({
        "cluster": "c", "node": "n", "token": "t", "session": "s", "addresses": ["10.0.0.1"],
        "boot": 1, "protocols": { "min": 1, "max": 2 }, "software": "1", "peers": "7",
    }));
    every_field_is_bounded::<Steps>(&json!({
        "steps": [{ "name": "hello", "status": "ok", "at_micros": 1, "log": "l" }],
    }));
    every_field_is_bounded::<CsrRequest>(&json!({ "csr": "PEM", "purpose": "kubelet" }));
    every_field_is_bounded::<CsrResponse>(&json!({ "cert": "PEM", "ca": "PEM" }));
    every_field_is_bounded::<Published>(&json!({
        "remote_addr": "10.0.0.1:2377", "worker_token": "w", "manager_token": "m", "ca": "PEM",
    }));
    every_field_is_bounded::<Ready>(&json!({ "node_id": "u" }));
    every_field_is_bounded::<TaskResult>(&json!({ "ok": false, "unsupported": true, "log": "l" }));
    every_field_is_bounded::<Unsupported>(&json!({ "frame": "f", "why": "w" }));
    every_field_is_bounded::<Observed>(&json!({
        "nodes": [{
            "hostname": "h", "id": "i", "role": "manager", "availability": "active",
            "state": "ready", "addr": "10.0.0.1", "reachability": "reachable", "leader": true,
        }],
        "ipvs": true, "version": "20.10", "problem": "p",
        "addons": [{ "name": "coredns", "state": "ready", "reason": "r" }],
    }));
}

#[test]
fn frames_outside_of_their_bounds_are_refused() {
    let plan = json!({
        "cluster_domain": "cluster.local", "service_cidr": "10.254.0.0/16",
        "service_ip": "10.254.0.1", "dns_ip": "10.254.0.10", "pod_cidr": "10.100.0.0/16",
        "node_pod_cidr": "10.100.0.0/24", "upstream_dns": ["8.8.8.8"], "taint_masters": true,
        "api_port": 6443, "masters": 1, "etcd_join": ["m-0"], "node_labels": { "a": "b" },
        "options": { "a": "b" }, "service_account_key": "PEM", "ca": "PEM",
    });
    let accepted = json!({ "type": "accepted", "body": {
        "protocol": 2, "software": "1",
        "welcome": { "role": "manager", "first_manager": true,
            "swarm": { "addr_pool": ["10.32.0.0/11"], "subnet_size": 24 }, "kubernetes": plan },
    } });
    let ticket = json!({ "type": "ticket", "body": { "remote_addrs": ["a:1"], "token": "t" } });
    let peers = json!({ "type": "peers", "body": {
        "version": "7", "api": "10.0.0.2:6443",
        "nodes": [{ "node": "n", "role": "worker", "address": "10.0.0.3", "pod_cidr": "r" }],
    } });
    let cancel = json!({ "type": "cancel", "body": { "task": "1" } });
    for frame in [accepted, ticket, peers, cancel] {
        let line = frame.to_string();
        assert!(
            matches!(Received::read(line.as_bytes()), Received::Frame(_)),
            "{line}"
        );
        for (at, value) in spoilt::<Value>(&frame) {
            let Received::Unsupported(refused) = Received::read(value.to_string().as_bytes())
            else {
                panic!("{at}");
            };
            refused.check().unwrap();
        }
    }
    for task in [
        json!({ "kind": "drain", "node": "n", "others": ["o"] }),
        json!({ "kind": "remove", "node": "n" }),
        json!({ "kind": "add-member", "address": "a", "lost": ["b"] }),
        json!({ "kind": "promote-member", "address": "a" }),
    ] {
        for (at, mut body) in spoilt::<Value>(&task) {
            body["id"] = json!("1");
            let line = json!({ "type": "task", "body": body }).to_string();
            let Received::UnsupportedTask { id, why } = Received::read(line.as_bytes()) else {
                panic!("{at}");
            };
            assert_eq!(id, "1");
            assert!(why.len() <= SENT_TEXT, "{at}");
        }
    }
    // The result of such a task could not be posted.
    for id in ["a\0b".to_owned(), "x".repeat(ID + 1)] {
        let line = json!({ "type": "task", "body": { "id": id, "kind": "reload-ca" } });
        let read = Received::read(line.to_string().as_bytes());
        assert!(matches!(read, Received::Unsupported(_)));
    }
}

#[test]
fn maps_are_bounded() {
    let with = |entries: usize, key: &str, value: &str| -> BTreeMap<String, String> {
        (0..entries)
            .map(|i| (format!("{key}{i}"), value.to_owned()))
            .collect()
    };
    assert_eq!(map("m", &with(LABELS, "k", "v"), 1), Ok(()));
    let e = map("m", &with(LABELS + 1, "k", "v"), 1).unwrap_err();
    assert_eq!(e.to_string(), "m: 1025 entries; at most 1024 are allowed");
    let e = map("m", &with(1, "k", "vv"), 1).unwrap_err();
    assert_eq!(e.to_string(), "m[k0]: 2 bytes; at most 1 are allowed");
    let e = map("m", &with(1, &"k".repeat(NAME), "v"), 1).unwrap_err();
    assert_eq!(e.to_string(), "m: 256 bytes; at most 255 are allowed");
    assert!(map("m", &with(1, "\0", "v"), 1).is_err());
}

#[test]
fn a_text_for_display_keeps_its_end() {
    assert_eq!(display_text("a\0b", 9), "a\u{fffd}b");
    assert_eq!(display_text("abcdef", 6), "abcdef");
    assert_eq!(display_text("abcdefg", 6), "…efg");
    // Never inside a character.
    let long = "ä".repeat(100);
    for most in 3..20 {
        let cut = display_text(&long, most);
        assert!(cut.len() <= most && cut.starts_with('…'), "{most}: {cut}");
    }
}
