//! Address allocation.

use ipnet::Ipv4Net;

use super::model::{choose, gateway, overlap, parse_cidr};

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

#[test]
fn the_first_free_block_is_chosen() {
    let pool = net("172.30.0.0/22");
    assert_eq!(choose(&pool, &[], 0), Some(net("172.30.0.0/24")));
    let used = [net("172.30.0.0/24"), net("10.0.0.0/8")];
    assert_eq!(choose(&pool, &used, 0), Some(net("172.30.1.0/24")));
    assert_eq!(choose(&pool, &used, 1), Some(net("172.30.2.0/24")));
    let used = [net("172.30.0.128/25"), net("172.30.2.0/30")];
    assert_eq!(choose(&pool, &used, 0), Some(net("172.30.1.0/24")));
    assert_eq!(choose(&pool, &used, 1), Some(net("172.30.3.0/24")));
    assert_eq!(choose(&pool, &used, 2), None);
}

#[test]
fn wider_and_nested_ranges_block_what_they_hold() {
    let pool = net("172.30.0.0/15");
    let used = [net("172.16.0.0/12"), net("172.30.5.0/24")];
    assert_eq!(choose(&pool, &used, 0), None);
    let used = [
        net("172.30.0.0/16"),
        net("172.30.5.0/24"),
        net("172.31.0.0/24"),
    ];
    assert_eq!(choose(&pool, &used, 0), Some(net("172.31.1.0/24")));
}

#[test]
fn a_pool_at_the_end_of_all_addresses_ends() {
    assert_eq!(
        choose(&net("255.255.255.0/24"), &[net("255.255.255.0/24")], 0),
        None
    );
}

#[test]
fn bad_input_names_the_field() {
    for text in [
        "",
        "10.0.0.0",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "10.0.0.0/30",
        "::/64",
        "8.8.8.0/24",
        "127.0.0.0/16",
        "169.254.169.0/24",
        "224.0.0.0/16",
        "0.0.0.0/16",
        "172.16.0.0/12",
        "172.32.0.0/16",
    ] {
        let e = parse_cidr(text).unwrap_err();
        assert!(e.message.starts_with("cidr: "), "{e}");
    }
    let n = net("10.0.0.0/24");
    assert_eq!(gateway(&n, None).unwrap().to_string(), "10.0.0.1");
    for ip in ["10.0.0.0", "10.0.0.255", "10.0.1.1", "x"] {
        let e = gateway(&n, Some(ip)).unwrap_err();
        assert!(e.message.contains("10.0.0.1 would be"), "{e}");
    }
    for (other, expected) in [
        ("10.0.0.128/25", true),
        ("10.0.0.0/8", true),
        ("10.0.1.0/24", false),
    ] {
        assert_eq!(overlap(&n, &net(other)), expected, "{other}");
        assert_eq!(overlap(&net(other), &n), expected, "{other}");
    }
}
