//! Pure conversions, and one scenario on a real engine
//! (`JEROBOAM_TEST_DOCKER=1`).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use infra::{
    Actor, BridgeSpec, ContainerHost, ContainerSpec, ContainerState, Endpoint, FileSpec, Isolation,
    LABEL, LABEL_BUILD, LABEL_EPOCH, NetworkFabric, NodeAccess, VolumeSpec, VolumeStore, is_stale,
};
use kernel::{Kind, ids};

use crate::{Engine, spec};

const ACTOR: Actor = Actor::Lease(7);

fn node(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        hostname: "n0".into(),
        image: "jeroboam-test/busybox:1".into(),
        access: NodeAccess::Node,
        labels: BTreeMap::from([(LABEL.to_owned(), name.to_owned())]),
        files: vec![FileSpec {
            path: "/var/lib/jeroboam/seed.json".into(),
            mode: 0o600,
            content: b"{\"seed\":1}".to_vec(),
        }],
        volumes: vec![VolumeSpec {
            name: format!("{name}-docker"),
            target: "/var/lib/docker".into(),
        }],
        stop_timeout: 30,
        restart: true,
        ..ContainerSpec::default()
    }
}

#[test]
fn a_node_gets_what_a_nested_engine_needs() {
    let body = spec::body(&node("jb-srv-1"));
    let host = serde_json::to_value(body.host_config.unwrap()).unwrap();
    assert_eq!(host["MaskedPaths"], serde_json::json!([]));
    assert_eq!(host["ReadonlyPaths"], serde_json::json!([]));
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    let given = host["CapAdd"].as_array().unwrap();
    assert!(given.contains(&"SYS_ADMIN".into()));
    for withheld in ["ALL", "SYS_MODULE", "SYS_BOOT", "SYS_TIME", "SYS_RAWIO"] {
        assert!(!given.contains(&withheld.into()), "{withheld}");
    }
    for rule in host["DeviceCgroupRules"].as_array().unwrap() {
        let rule = rule.as_str().unwrap();
        assert!(rule.starts_with("c ") && !rule.contains('*'), "{rule}");
    }
    assert_eq!(host["CgroupnsMode"], "private");
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    assert_eq!(
        host["Mounts"][0]["VolumeOptions"]["Labels"][LABEL],
        "jb-srv-1"
    );
}

#[test]
fn a_plain_container_keeps_the_engines_masks() {
    let spec = ContainerSpec {
        access: NodeAccess::Plain,
        ..node("x")
    };
    let host = serde_json::to_value(spec::body(&spec).host_config.unwrap()).unwrap();
    assert!(host.get("MaskedPaths").is_none_or(|v| v.is_null()));
    assert!(host.get("CapAdd").is_none_or(|v| v.is_null()));
}

#[test]
fn limits_of_a_node_hold() {
    let spec = ContainerSpec {
        memory: Some(512 << 20),
        ..node("x")
    };
    let host = spec::body(&spec).host_config.unwrap();
    assert_eq!(host.memory_swap, host.memory);
    // The engine keeps only a part of what a node writes to its output.
    let log = host.log_config.unwrap();
    assert_eq!(log.typ.as_deref(), Some("json-file"));
    let options = log.config.unwrap();
    assert_eq!((&*options["max-size"], &*options["max-file"]), ("10m", "3"));
}

#[test]
fn nodes_in_user_namespaces_lack_some_system_calls() {
    let seccomp = |isolation| {
        let spec = ContainerSpec {
            isolation,
            ..node("x")
        };
        let host = spec::body(&spec).host_config.unwrap();
        host.security_opt.unwrap().remove(0)
    };
    assert_eq!(seccomp(Isolation::HostRoot), "seccomp=unconfined");
    let profile = seccomp(Isolation::UserNamespace);
    assert!(profile.starts_with("seccomp={") && profile.contains("keyctl"));
}

#[test]
fn an_archive_makes_only_our_directories() {
    let tar = spec::archive(&node("x").files).unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|e| {
            let e = e.unwrap();
            (
                e.path().unwrap().display().to_string(),
                e.header().mode().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("var/lib/jeroboam/".to_owned(), 0o700),
            ("var/lib/jeroboam/seed.json".to_owned(), 0o600)
        ]
    );
}

#[test]
fn another_scheme_is_refused() {
    let e = Engine::connect(Some("ftp://x")).err().unwrap();
    assert!(e.message.contains("unix:///PATH"), "{e}");
}

#[tokio::test]
async fn a_dead_engine_is_unavailable_and_named() {
    let engine = Engine::connect(Some("unix:///nonexistent/docker.sock")).unwrap();
    let e = engine.info().await.unwrap_err();
    assert!(e.is_transient());
    assert!(
        e.message
            .starts_with("Docker Engine at unix:///nonexistent/docker.sock does not answer"),
        "{e}"
    );
}

fn import_busybox() {
    let tar = "d=$(mktemp -d) && mkdir -p $d/bin $d/var/lib && cp /bin/busybox $d/bin/ && \
               ln -s busybox $d/bin/sh && ln -s busybox $d/bin/sleep && ln -s busybox $d/bin/stat && \
               tar -C $d -c . | docker import --change 'CMD [\"/bin/sh\",\"-c\",\"stat -c %a:%s /var/lib/jeroboam/seed.json; exec sleep 600\"]' - jeroboam-test/busybox:1 && rm -rf $d";
    let done = Command::new("sh")
        .args(["-c", tar])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn a_real_engine_runs_a_full_lifecycle() {
    if std::env::var_os("JEROBOAM_TEST_DOCKER").is_none() {
        return;
    }
    import_busybox();
    let engine = Engine::connect(None).unwrap();
    let id = ids::secret_hex(6);
    let (net, name) = (format!("jb-net-{id}"), format!("jb-srv-{id}"));
    let lifecycle =
        tokio::time::timeout(Duration::from_secs(60), run_lifecycle(&engine, &net, &name)).await;
    let volume = format!("{name}-docker");
    if let Some(left) = engine.inspect(&name).await.unwrap() {
        ContainerHost::remove(&engine, ACTOR, &left.id)
            .await
            .unwrap();
    }
    engine.remove_volume(ACTOR, &volume).await.unwrap();
    for left in engine.named(&net).await.unwrap() {
        NetworkFabric::remove(&engine, ACTOR, &left.id)
            .await
            .unwrap();
    }
    assert!(engine.inspect(&name).await.unwrap().is_none());
    let done = Command::new("docker")
        .args(["image", "rm", "jeroboam-test/busybox:1"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
    lifecycle.unwrap();
    let left = engine.volumes().await.unwrap();
    assert!(left.iter().all(|v| !v.name.contains(&id)));
    let left = NetworkFabric::list(&engine).await.unwrap();
    assert!(left.iter().all(|v| v.name != net));
}

async fn run_lifecycle(engine: &Engine, net: &str, name: &str) {
    let bridge = BridgeSpec {
        name: net.into(),
        labels: BTreeMap::from([(LABEL.to_owned(), net.to_owned())]),
        cidr: "10.251.77.0/24".parse().unwrap(),
        gateway: "10.251.77.1".parse().unwrap(),
        internal: false,
        mtu: None,
    };
    let made = engine.ensure(ACTOR, &bridge).await.unwrap();
    let again = engine.ensure(ACTOR, &bridge).await.unwrap();
    assert_eq!((&made.id, &made.device), (&again.id, &again.device));
    let used = engine.used_cidrs().await.unwrap();
    assert!(used.contains(&bridge.cidr), "{used:?}");
    let twin = BridgeSpec {
        name: format!("{net}-twin"),
        ..bridge.clone()
    };
    let e = engine.ensure(ACTOR, &twin).await.unwrap_err();
    assert!(e.message.contains("choose another cidr"), "{e}");

    let mut events = ContainerHost::events(engine).await.unwrap();
    let mut spec = node(name);
    spec.endpoints.push(Endpoint {
        network: net.into(),
        ipv4: Some("10.251.77.9".parse().unwrap()),
        mac: Some("02:42:0a:fb:4d:09".into()),
        aliases: vec![],
    });
    let missing = ContainerSpec {
        image: "jeroboam-test/absent:1".into(),
        ..spec.clone()
    };
    let e = engine.create(ACTOR, &missing).await.unwrap_err();
    assert_eq!(e.kind, Kind::NotFound);
    assert!(e.message.contains("jeroboam image build"), "{e}");

    let id = engine.create(ACTOR, &spec).await.unwrap();
    assert_eq!(engine.create(ACTOR, &spec).await.unwrap(), id);
    engine.start(ACTOR, &id).await.unwrap();
    engine.start(ACTOR, &id).await.unwrap();
    assert_eq!(engine.create(ACTOR, &spec).await.unwrap(), id);
    let e = engine.create(Actor::Lease(6), &spec).await.unwrap_err();
    assert!(is_stale(&e), "{e}");
    let e = engine
        .remove_volume(ACTOR, &spec.volumes[0].name)
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Conflict, "{e}");
    let event = events.next().await.unwrap();
    assert_eq!((event.id.as_str(), event.name.as_str()), (name, name));
    while events.next().await.unwrap().action != "start" {}
    let view = engine.inspect(name).await.unwrap().unwrap();
    assert_eq!(view.state, ContainerState::Running);
    assert_eq!(
        view.addresses.get(net),
        Some(&Ipv4Addr::new(10, 251, 77, 9))
    );
    assert_eq!(view.labels.get(LABEL_EPOCH).map(String::as_str), Some("7"));
    let e = NetworkFabric::remove(engine, ACTOR, &made.id)
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Conflict);
    let listed = ContainerHost::list(engine).await.unwrap();
    assert!(listed.iter().any(|v| v.name == name));
    let mut log = String::new();
    while log.is_empty() {
        log = engine.logs(name, 5).await.unwrap();
    }
    assert_eq!(log.trim(), "600:10");
    engine.stop(ACTOR, &id, 0).await.unwrap();
    while events.next().await.unwrap().action != "die" {}

    // The next build replaces it, regardless of its creator.
    spec.labels.insert(LABEL_BUILD.into(), "2".into());
    let next = engine.create(Actor::Lease(1), &spec).await.unwrap();
    assert_ne!(next, id);
    ContainerHost::remove(engine, ACTOR, &id).await.unwrap();
    let view = engine.inspect(name).await.unwrap().unwrap();
    assert_eq!(view.id, next);
}
