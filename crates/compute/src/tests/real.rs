//! One story on a real engine.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use db::Db;
use infra::sim::Simulator;
use kernel::ids;
use network::NetworkConfig;

use super::World;
use crate::container_name;
use crate::face::{NewServer, ServerStatus};

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
    let engine = docker::Engine::connect(None).unwrap().isolate(true);
    let config = NetworkConfig {
        pool: "172.29.80.0/20".parse().unwrap(),
        ..NetworkConfig::new(ids::hex())
    };
    let (plane, host) = (Arc::new(engine.clone()), Arc::new(engine));
    let w = World::on(dir, db, sim, plane, host, config).await;
    w.register("swarm", Some("swarm"), IMAGE).await;
    w.register("bad", Some("swarm"), &format!("{IMAGE}-bad"))
        .await;
    w.work();
    let net = w.net().await;
    let servers: Vec<NewServer> = (0..10).map(|_| w.server(&net)).collect();
    let begin = Instant::now();
    for new in &servers {
        w.create(new).await;
    }
    for new in &servers {
        let s = w
            .until(&new.id, |s| {
                s.is_some_and(|s| s.status != ServerStatus::Build)
            })
            .await
            .unwrap();
        assert_eq!(s.status, ServerStatus::Active, "{:?}", s.fault);
    }
    eprintln!("10 servers ACTIVE after {:?}", begin.elapsed());
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
        w.face.servers.delete(&w.ctx, id).await.unwrap();
    }
    w.network
        .face()
        .networks
        .delete(&w.ctx, &net)
        .await
        .unwrap();
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
