use proptest::prelude::*;

use super::*;

fn fuse() -> Device {
    Device {
        path: "/dev/fuse".into(),
        source: "/run/fuse".into(),
        major: 10,
        minor: 229,
    }
}

fn facts() -> Facts {
    Facts {
        range: "268435456:65536".parse().unwrap(),
        namespace: "/proc/7/ns/user".into(),
        root: "/run/r".into(),
        sources: vec![(1, "/run/m1".into())],
        devices: vec![fuse()],
    }
}

/// The parts of a configuration as Docker writes it.
fn config() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"env": ["PATH=/bin", "JEROBOAM_USERNS=268435456:65536"], "oomScoreAdj": 0},
        "root": {"path": "/data/overlay2/x/merged"},
        "mounts": [
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
            {"destination": "/etc/hostname", "type": "bind", "source": "/data/containers/c/hostname", "options": ["rbind", "rprivate"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]},
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro"]},
        ],
        "linux": {
            "sysctl": {"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"},
            "cgroupsPath": "/docker/c",
            "resources": {"memory": {"limit": 64}, "devices": [{"allow": true, "access": "rwm"}]},
            "devices": [{"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}],
            "namespaces": [
                {"type": "mount"}, {"type": "network", "path": "/proc/5/ns/net"}, {"type": "pid"}, {"type": "ipc"}, {"type": "uts"},
            ],
        },
    })
}

#[test]
fn a_configuration_is_transformed_for_a_user_namespace() {
    let mut expected = config();
    expected["root"]["path"] = json!("/run/r");
    expected["mounts"][0]["options"] = json!(["nosuid"]);
    expected["mounts"][1]["source"] = json!("/run/m1");
    expected["mounts"][2]["options"] = json!(["nosuid"]);
    expected["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/dev/fuse", "type": "bind", "source": "/run/fuse",
        "options": ["bind", "rw", "nosuid", "noexec"],
    }));
    let linux = &mut expected["linux"];
    linux["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "user", "path": "/proc/7/ns/user"}));
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": 268_435_456, "size": 65_536}]);
    linux["gidMappings"] = linux["uidMappings"].clone();
    linux["devices"] = json!([]);
    linux["resources"]["devices"] = device_rules(&[fuse()]);
    linux["sysctl"]["net.ipv4.ping_group_range"] = json!("0 65535");
    assert_eq!(transform(config(), &facts()).unwrap(), expected);
}

#[test]
fn device_rules_permit_only_character_devices_of_the_list() {
    let rules = device_rules(&[]);
    assert!(!rules.to_string().contains("229"), "{rules}");
    let rules = device_rules(&[fuse()]);
    assert_eq!(rules[0], json!({"allow": false, "access": "rwm"}));
    let allowed = &rules.as_array().unwrap()[1..];
    for rule in allowed {
        assert!(rule["type"] == "c" && rule["major"].is_u64(), "{rule}");
    }
    let last = json!({"allow": true, "type": "c", "access": "rwm", "major": 10, "minor": 229});
    assert_eq!(allowed.last(), Some(&last));
}

#[test]
fn a_container_with_a_user_namespace_is_refused() {
    let mut config = config();
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
    let error = transform(config, &facts()).unwrap_err().to_string();
    assert!(error.contains("userns-remap"), "{error}");
}

#[test]
fn a_container_that_shares_a_namespace_of_the_host_is_refused() {
    for kind in NAMESPACES {
        let mut config = config();
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|n| n["type"] != *kind);
        let error = transform(config, &facts()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("the host's {kind} namespace")),
            "{error}"
        );
    }
}

#[test]
fn the_range_must_be_given_once() {
    let range_of = |env: Value| range(&json!({"process": {"env": env}}));
    assert_eq!(range(&config()).unwrap(), facts().range);
    let valid = "JEROBOAM_USERNS=268435456:65536";
    for (env, reason) in [
        (json!(null), "no variable JEROBOAM_USERNS"),
        (json!(["JEROBOAM_USERNSX=268435456:65536"]), "no variable"),
        (json!([valid, valid]), "is repeated"),
        (json!([valid, "JEROBOAM_USERNS"]), "is repeated"),
        (json!([valid, "JEROBOAM_USERNS=auto"]), "is repeated"),
        (json!(["JEROBOAM_USERNS"]), "the variable JEROBOAM_USERNS"),
        (
            json!(["JEROBOAM_USERNS=auto"]),
            "the variable JEROBOAM_USERNS",
        ),
        (
            json!(["JEROBOAM_USERNS=0:65536"]),
            "the variable JEROBOAM_USERNS",
        ),
    ] {
        let error = range_of(env.clone()).unwrap_err().to_string();
        assert!(error.contains(reason), "{env}: {error}");
    }
}

#[test]
fn the_hostname_file_must_be_one_absolute_bind_mount() {
    let found = hostname_file(&config()).unwrap();
    assert_eq!(found, Path::new("/data/containers/c/hostname"));
    let mount = &config()["mounts"][1];
    assert!(hostname_file(&json!({"mounts": [mount, mount]})).is_err());
    assert!(hostname_file(&json!({"mounts": []})).is_err());
    assert!(hostname_file(&json!({})).is_err());
    let mut relative = config();
    relative["mounts"][1]["source"] = json!("hostname");
    assert!(hostname_file(&relative).is_err());
    let mut other = config();
    other["mounts"][1] = json!({"destination": "/etc/hostname", "type": "tmpfs"});
    assert!(hostname_file(&other).is_err());
}

#[test]
fn bind_mounts_are_found_by_type_and_by_option() {
    let found = binds(&json!({"mounts": [
        {"destination": "/a", "type": "bind", "source": "/s", "options": ["bind"]},
        {"destination": "/b", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/c", "source": "/t", "options": ["rbind"]},
    ]}));
    let bind = |index, source: &str, recursive| Bind {
        index,
        source: source.into(),
        recursive,
    };
    assert_eq!(found.unwrap(), [bind(0, "/s", false), bind(2, "/t", true)]);
    assert!(binds(&json!({"mounts": [{"destination": "/a", "type": "bind"}]})).is_err());
}

/// Any JSON document.
fn document() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(vec![
        "process",
        "env",
        "root",
        "path",
        "mounts",
        "linux",
        "namespaces",
        "type",
        "options",
        "resources",
        "devices",
        "sysctl",
        "source",
        "destination",
        PING_GROUPS,
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(vec![
            "bind",
            "user",
            "sysfs",
            "/etc/hostname",
            "/a",
            "ro",
            VARIABLE
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_refused_or_has_exactly_one_user_namespace(config in document()) {
        let _ = (range(&config), hostname_file(&config), root(&config), binds(&config), cgroup(&config));
        if let Ok(done) = transform(config, &facts()) {
            let namespaces = done["linux"]["namespaces"].as_array().unwrap();
            prop_assert_eq!(namespaces.iter().filter(|n| n["type"] == "user").count(), 1);
            prop_assert_eq!(&done["linux"]["uidMappings"][0]["hostID"], &json!(268_435_456));
            prop_assert_eq!(&done["root"]["path"], "/run/r");
        }
    }

    #[test]
    fn other_fields_are_not_changed(key in "[a-z]{1,8}x", value in document()) {
        let mut before = config();
        before[&key] = value.clone();
        before["linux"][&key] = value.clone();
        let after = transform(before, &facts()).unwrap();
        prop_assert_eq!(&after[&key], &value);
        prop_assert_eq!(&after["linux"][&key], &value);
        prop_assert_eq!(&after["linux"]["resources"]["memory"], &json!({"limit": 64}));
    }
}
