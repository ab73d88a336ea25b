//! A scenario on a real engine.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use db::Db;
use infra::sim::Simulator;
use infra::{
    Actor, ContainerHost, ContainerSpec, Endpoint, FileSpec, NodeAccess, VolumeSpec, VolumeStore,
};
use kernel::ids;
use network::{NetworkConfig, NetworkId};

use super::Fixture;
use crate::api::{NewServer, ServerStatus};
use crate::container_name;

const IMAGE: &str = "jeroboam-test/node:1";

fn import_busybox() {
    let script = format!(
        "d=$(mktemp -d) && mkdir -p $d/bin $d/var/lib && cp /bin/busybox $d/bin/ && \
         ln -s busybox $d/bin/sh && ln -s busybox $d/bin/sleep && \
         tar -C $d -c . | docker import --change 'CMD [\"/bin/sleep\",\"600\"]' - {IMAGE} && \
         tar -C $d -c . | docker import --change 'CMD [\"/bin/sh\",\"-c\",\"echo no luck; exit 3\"]' - {IMAGE}-bad && \
         rm -rf $d"
    );
    let done = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
}

fn docker(args: &[&str]) {
    let done = Command::new("docker")
        .args(args)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
}

/// The same ten containers directly on the engine, in parallel.
async fn by_hand(engine: &docker::Engine, net: &NetworkId) -> Duration {
    let specs: Vec<ContainerSpec> = (0..10)
        .map(|i| ContainerSpec {
            name: format!("jb-hand-{net}-{i}"),
            hostname: format!("hand-{i}"),
            image: IMAGE.into(),
            access: NodeAccess::Node,
            cpu_shares: Some(1024),
            memory: Some(512 << 20),
            files: vec![FileSpec {
                path: "/var/lib/jeroboam/seed.json".into(),
                mode: 0o600,
                content: b"{}".to_vec(),
            }],
            endpoints: vec![Endpoint {
                network: network::host_name(net),
                ipv4: None,
                mac: None,
                aliases: vec![],
            }],
            volumes: vec![VolumeSpec {
                name: format!("jb-hand-{net}-{i}-docker"),
                target: "/var/lib/docker".into(),
            }],
            ..ContainerSpec::default()
        })
        .collect();
    let begin = Instant::now();
    let actor = Actor::Lease(1);
    let ids = futures_util::future::join_all(specs.iter().map(|spec| async move {
        let id = engine.create(actor, spec).await.unwrap();
        engine.start(actor, &id).await.unwrap();
        id
    }))
    .await;
    let took = begin.elapsed();
    for (spec, id) in specs.iter().zip(ids) {
        ContainerHost::remove(engine, actor, &id).await.unwrap();
        let volume = &spec.volumes[0].name;
        engine.remove_volume(actor, volume).await.unwrap();
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_engine_runs_servers() {
    if std::env::var_os("JEROBOAM_TEST_DOCKER").is_none() {
        return;
    }
    import_busybox();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let sim = Simulator::open(&path("sim.db")).await.unwrap();
    let db = Db::connect(&format!("sqlite:{}", path("j.db")))
        .await
        .unwrap();
    let engine = docker::Engine::connect(None)
        .unwrap()
        .isolate(Some(docker::Isolation {
            outside: false,
            host_services: Vec::new(),
            bootstrap_port: 9512,
        }));
    let config = NetworkConfig {
        pool: "172.29.80.0/20".parse().unwrap(),
        ..NetworkConfig::new(ids::hex())
    };
    let (fabric, host) = (Arc::new(engine.clone()), Arc::new(engine.clone()));
    let w = Fixture::on(dir, db, sim, fabric, host, config).await;
    w.register("swarm", Some("swarm"), IMAGE).await;
    w.register("bad", Some("swarm"), &format!("{IMAGE}-bad"))
        .await;
    w.work();
    let net = w.net().await;
    let servers: Vec<NewServer> = (0..10).map(|_| w.server(&net)).collect();
    let begin = Instant::now();
    testkit::eventually("the network is ACTIVE", Duration::from_secs(30), || async {
        let found = w.network.api().networks.show(&w.ctx, &net).await;
        found.unwrap().status == network::api::Status::Active
    })
    .await;
    eprintln!("network ACTIVE after {:?}", begin.elapsed());
    let begin = Instant::now();
    for new in &servers {
        w.create(new).await;
    }
    eprintln!("10 servers accepted after {:?}", begin.elapsed());
    for new in &servers {
        let s = w
            .until(&new.id, |s| {
                s.is_some_and(|s| s.status != ServerStatus::Build)
            })
            .await
            .unwrap();
        assert_eq!(s.status, ServerStatus::Active, "{:?}", s.fault);
    }
    let ours = begin.elapsed();
    let floor = by_hand(&engine, &net).await;
    eprintln!("10 servers ACTIVE after {ours:?}; the engine alone needs {floor:?}");
    assert!(w.compute.leaks().await.unwrap().is_empty());

    let bad = NewServer {
        image: "bad".into(),
        ..w.server(&net)
    };
    w.create(&bad).await;
    let s = w.status(&bad.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(why.contains("code 3") && why.contains("no luck"), "{why}");

    docker(&["pause", &container_name(&servers[0].id)]);
    w.status(&servers[0].id, ServerStatus::Paused).await;
    docker(&["unpause", &container_name(&servers[0].id)]);
    w.status(&servers[0].id, ServerStatus::Active).await;

    let begin = Instant::now();
    for id in servers.iter().chain([&bad]).map(|s| &s.id) {
        w.api.servers.delete(&w.ctx, id).await.unwrap();
    }
    w.network.api().networks.delete(&w.ctx, &net).await.unwrap();
    for id in servers.iter().chain([&bad]).map(|s| &s.id) {
        w.until(id, |s| s.is_none()).await;
    }
    eprintln!("11 servers gone after {:?}", begin.elapsed());
    let gone = async {
        while w.count("network").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
    docker(&["image", "rm", IMAGE, &format!("{IMAGE}-bad")]);
}
