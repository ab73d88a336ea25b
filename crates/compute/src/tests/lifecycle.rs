//! Creation, failure, observation and deletion of servers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use infra::sim::{SimConfig, SimFault, Simulator, Step};
use infra::{Actor, ContainerHost, NodeAccess, Side};
use kernel::{Ctx, Kind};
use network::NetworkConfig;

use super::Fixture;
use crate::api::{NewServer, ServerStatus};
use crate::{ServerId, container_name};

fn fault(step: Step, transient: bool, message: &str) -> SimFault {
    SimFault {
        step,
        name: String::new(),
        transient,
        message: message.into(),
        times: 1,
    }
}

#[tokio::test]
async fn a_server_is_created_and_deleted() {
    let w = Fixture::new().await;
    let net = w.net().await;
    let new = w.server(&net);
    let made = w.create(&new).await;
    assert_eq!(made.status, ServerStatus::Build);
    assert_eq!(made.host.as_deref(), Some("sim-1"));
    let again = w.create(&new).await;
    assert_eq!((again.id, w.count("server").await), (made.id.clone(), 1));
    let row =
        w.db.query_opt("SELECT user_data FROM server", vec![])
            .await
            .unwrap()
            .unwrap();
    assert!(!row.text("user_data").unwrap().contains("secret-token"));

    w.work();
    let server = w.status(&made.id, ServerStatus::Active).await;
    assert_eq!(server.addresses, [Ipv4Addr::new(172, 30, 0, 2)]);
    let row =
        w.db.query_opt("SELECT user_data FROM server", vec![])
            .await
            .unwrap()
            .unwrap();
    assert_eq!(row.opt_text("user_data").unwrap(), None);
    let spec = w.sim.running().await.unwrap().pop().unwrap();
    assert_eq!(
        (spec.access, spec.hostname.as_str()),
        (NodeAccess::Node, "node-0")
    );
    assert_eq!(spec.files[0].path, "/var/lib/jeroboam/seed.json");
    assert_eq!(spec.files[0].mode, 0o600);
    assert_eq!(spec.files[0].content, b"{\"token\":\"secret-token\"}");
    assert_eq!(spec.volumes[0].target, "/var/lib/docker");
    assert_eq!(spec.memory, Some(512 << 20));
    assert!(w.compute.leaks().await.unwrap().is_empty());
    let owner =
        w.db.query_opt(
            "SELECT id FROM flow_key WHERE kind = 'stack' AND id = 'st1'",
            vec![],
        )
        .await
        .unwrap();
    assert!(owner.is_some());
    let foreign = Ctx::for_project("req-2", "p2");
    let e = w.api.servers.show(&foreign, &made.id).await.unwrap_err();
    assert!(e.is_not_found());
    w.api.servers.delete(&foreign, &made.id).await.unwrap();

    w.gone(&made.id).await;
    w.api.servers.delete(&w.ctx, &made.id).await.unwrap();
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_full_host_says_what_is_free() {
    let w = Fixture::new().await;
    let net = w.net().await;
    let large = NewServer {
        flavor: "m1.large".into(),
        ..w.server(&net)
    };
    let first = w.create(&large).await;
    assert_eq!(first.status, ServerStatus::Build);
    let second = NewServer {
        id: ServerId::random(),
        ..large
    };
    let full = w.create(&second).await;
    assert_eq!(full.status, ServerStatus::Error);
    let why = full.fault.unwrap().message;
    assert!(
        why.starts_with(
            "No valid host was found. Asked for 4 vCPUs and 8192 MiB of memory; free: sim-1 has 12 vCPUs and 0 MiB."
        ),
        "{why}"
    );
    w.work();
    w.gone(&first.id).await;
    w.gone(&second.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn failures_are_statuses_with_reasons() {
    let w = Fixture::new().await;
    w.work();
    let net = w.net().await;
    w.register("kubernetes", Some("kubernetes"), "jeroboam/kubernetes:1")
        .await;
    let absent = NewServer {
        image: "kubernetes".into(),
        ..w.server(&net)
    };
    w.create(&absent).await;
    let s = w.status(&absent.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(
        why.contains("image jeroboam/kubernetes:1 is not on host sim-1; run `jeroboam image build"),
        "{why}"
    );
    w.gone(&absent.id).await;

    let unknown = NewServer {
        image: "nonesuch".into(),
        ..w.server(&net)
    };
    let e = w.api.servers.create(&w.ctx, unknown).await.unwrap_err();
    assert_eq!(e.kind, Kind::NotFound);
    assert!(e.message.contains("jeroboam image build nonesuch"), "{e}");

    w.sim
        .inject(fault(Step::Start, false, "OCI runtime create failed"))
        .await
        .unwrap();
    let broken = w.server(&net);
    w.create(&broken).await;
    let s = w.status(&broken.id, ServerStatus::Error).await;
    assert!(
        s.fault
            .unwrap()
            .message
            .contains("OCI runtime create failed")
    );
    w.gone(&broken.id).await;

    w.sim
        .inject(fault(Step::Create, true, "the engine does not answer"))
        .await
        .unwrap();
    let patient = w.server(&net);
    w.create(&patient).await;
    w.until(&patient.id, |s| {
        s.is_some_and(|s| s.progress.as_deref() == Some("the engine does not answer"))
    })
    .await;
    let s = w.status(&patient.id, ServerStatus::Active).await;
    assert_eq!(s.progress, None);

    w.sim
        .inject(fault(Step::Remove, true, "the engine does not answer"))
        .await
        .unwrap();
    w.api.servers.delete(&w.ctx, &patient.id).await.unwrap();
    w.until(&patient.id, |s| {
        s.is_some_and(|s| {
            s.progress
                .as_deref()
                .is_some_and(|p| p.contains("waits: the engine"))
        })
    })
    .await;
    w.until(&patient.id, |s| s.is_none()).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_container_that_dies_early_is_a_failure() {
    let w = Fixture::new().await;
    let sim = w.sim.clone();
    w.sim.on_start(std::sync::Arc::new(move |spec| {
        let (sim, name) = (sim.clone(), spec.name.clone());
        tokio::spawn(async move { sim.kill(&name, 137, true).await });
    }));
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let s = w.status(&new.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(
        why.contains("was killed for lack of memory (exit code 137); choose a larger flavor"),
        "{why}"
    );
    assert!(why.contains("its last lines: "), "{why}");
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_status_follows_the_container() {
    let w = Fixture::new().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    let name = container_name(&new.id);
    w.sim.kill(&name, 0, false).await.unwrap();
    w.status(&new.id, ServerStatus::Shutoff).await;
    let id = w.sim.inspect(&name).await.unwrap().unwrap().id;
    let other_owner = Actor::Lease(99);
    w.sim.start(other_owner, &id).await.unwrap();
    w.status(&new.id, ServerStatus::Active).await;

    ContainerHost::remove(&w.sim, other_owner, &id)
        .await
        .unwrap();
    let s = w.status(&new.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(why.contains("was removed from host"), "{why}");
    let leaks = w.compute.leaks().await.unwrap();
    assert!(leaks.iter().all(|l| l.side == Side::Ledger));
    w.tasks.stop(Duration::from_secs(5)).await;
}

/// Two workers on one PostgreSQL share twenty servers.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_one_postgres() {
    let Some(pg) = testkit::TestDb::postgres(&[]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sim.db").display().to_string();
    let config = SimConfig {
        cpus: 64,
        memory: 64 << 30,
        ..SimConfig::instant()
    };
    let sim = Simulator::open_with(&path, config).await.unwrap();
    sim.add_image("jeroboam/swarm:1", &[]).await.unwrap();
    let (fabric, host) = (Arc::new(sim.clone()), Arc::new(sim.clone()));
    let net_config = NetworkConfig::new("test");
    let w = Fixture::on(dir, pg.db.clone(), sim, fabric, host, net_config).await;
    w.work();
    w.work();
    let net = w.net().await;
    let servers: Vec<NewServer> = (0..20).map(|_| w.server(&net)).collect();
    futures_util::future::join_all(servers.iter().map(|new| w.create(new))).await;
    let mut addresses = Vec::new();
    for new in &servers {
        addresses.extend(w.status(&new.id, ServerStatus::Active).await.addresses);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20);
    for new in &servers {
        w.api.servers.delete(&w.ctx, &new.id).await.unwrap();
    }
    for new in &servers {
        w.until(&new.id, |s| s.is_none()).await;
    }
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}
