//! Scenarios on SQLite and the simulator; one on a real engine with
//! `JEROBOAM_TEST_DOCKER=1`.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use db::{Db, values};
use flow::{Driver, Tasks};
use infra::NetworkFabric;
use infra::sim::{FaultInjector, SimConfig, SimFault, Simulator, Step};
use kernel::{Ctx, Kind, OwnerKey, ids};
use tempfile::TempDir;

use crate::api::{NewNetwork, NewPort, NewRouter, NewSubnet, Status};
use crate::{
    NetworkApi, NetworkConfig, NetworkId, NetworkService, PortId, RouterId, SubnetId, host_name,
    migrations, seed,
};

struct Fixture {
    _dir: TempDir,
    db: Db,
    sim: Simulator,
    service: NetworkService,
    api: NetworkApi,
    tasks: Tasks,
    ctx: Ctx,
}

async fn fixture() -> Fixture {
    fixture_with_faults(Arc::new(faults::Script::default())).await
}

async fn fixture_with_faults(fault_injector: Arc<dyn FaultInjector>) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::connect(&format!("sqlite:{}", dir.path().join("j.db").display()))
        .await
        .unwrap();
    db.migrate(migrations()).await.unwrap();
    let sim = Simulator::open_under(
        &dir.path().join("sim.db").display().to_string(),
        SimConfig::instant(),
        fault_injector,
    )
    .await
    .unwrap();
    let service = NetworkService::new(
        db.clone(),
        Arc::new(sim.clone()),
        NetworkConfig::new("test"),
    );
    let tasks = Tasks::default();
    Fixture {
        _dir: dir,
        api: service.api(),
        db,
        sim,
        service,
        tasks,
        ctx: Ctx::for_project("req-1", "p1"),
    }
}

impl Fixture {
    fn work(&self) {
        let mut driver = Driver::new(self.db.clone());
        for r in self.service.reconcilers() {
            driver = driver.with(r);
        }
        driver.start(&self.tasks);
        self.service.watch(&self.tasks);
    }

    async fn net(&self, name: &str) -> NetworkId {
        let new = NewNetwork {
            id: NetworkId::random(),
            project_id: "p1".into(),
            name: name.into(),
            owner: Some(OwnerKey::new("stack", "s-net")),
            ..NewNetwork::default()
        };
        self.api
            .networks
            .create(&self.ctx, new.clone())
            .await
            .unwrap();
        self.api.networks.create(&self.ctx, new).await.unwrap().id
    }

    fn sub(&self, net: &NetworkId) -> NewSubnet {
        NewSubnet {
            id: SubnetId::random(),
            project_id: "p1".into(),
            network_id: net.clone(),
            name: "s".into(),
            owner: Some(OwnerKey::new("stack", "s-sub")),
            ..NewSubnet::default()
        }
    }

    fn port(&self, net: &NetworkId) -> NewPort {
        NewPort {
            id: PortId::random(),
            project_id: "p1".into(),
            network_id: net.clone(),
            owner: Some(OwnerKey::new("server", "v1")),
            ..NewPort::default()
        }
    }

    async fn until(&self, net: &NetworkId, what: impl Fn(Option<Status>, Option<&str>) -> bool) {
        let look = async {
            loop {
                let found = self.api.networks.show(&self.ctx, net).await.ok();
                let reason = found.as_ref().and_then(|n| n.status_reason.clone());
                if what(found.map(|n| n.status), reason.as_deref()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look)
            .await
            .expect("status in time");
    }

    async fn marked(&self, kind: &str, id: &str) -> bool {
        self.db
            .query_opt(
                "SELECT id FROM flow_key WHERE kind = ? AND id = ?",
                values![kind, id],
            )
            .await
            .unwrap()
            .is_some()
    }
}

#[tokio::test]
async fn a_network_is_created_and_deleted() {
    let w = fixture().await;
    let net = w.net("private").await;
    let shown = w.api.networks.show(&w.ctx, &net).await.unwrap();
    assert_eq!(shown.status, Status::Active);
    let new = w.sub(&net);
    let sub = w.api.subnets.create(&w.ctx, new.clone()).await.unwrap();
    let again = w.api.subnets.create(&w.ctx, new).await.unwrap();
    assert_eq!(
        (sub.cidr.to_string(), sub.gateway_ip.to_string()),
        ("172.30.0.0/24".into(), "172.30.0.1".into())
    );
    assert_eq!(again.cidr, sub.cidr);
    let port = w.api.ports.create(&w.ctx, w.port(&net)).await.unwrap();
    assert_eq!(
        (port.ip.to_string(), port.status),
        ("172.30.0.2".into(), Status::Build)
    );
    assert_eq!(port.host_network, host_name(&net));

    w.work();
    let mut gateways = w.service.gateways();
    w.until(&net, |s, _| s == Some(Status::Active)).await;
    assert!(w.marked("stack", "s-net").await && w.marked("stack", "s-sub").await);
    assert!(w.marked("server", "v1").await);
    gateways.wait_for(|g| g.len() == 1).await.unwrap();
    assert!(w.service.leaks().await.unwrap().is_empty());

    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    w.until(&net, |s, why| {
        s == Some(Status::Deleting)
            && why.is_some_and(|w| w.contains("waits for the removal of ports"))
    })
    .await;
    w.api.ports.delete(&w.ctx, &port.id).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;
    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    gateways.wait_for(|g| g.is_empty()).await.unwrap();
    assert!(NetworkFabric::list(&w.sim).await.unwrap().is_empty());
    assert!(w.service.leaks().await.unwrap().is_empty());
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_subnet_is_removed_with_its_bridge_and_frees_its_addresses() {
    let w = fixture().await;
    w.work();
    let net = w.net("n").await;
    let sub = w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.until(&net, |s, _| s == Some(Status::Active)).await;
    w.api.subnets.delete(&w.ctx, &sub.id).await.unwrap();
    assert!(
        w.api
            .subnets
            .show(&w.ctx, &sub.id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    let look = async {
        while !NetworkFabric::list(&w.sim).await.unwrap().is_empty()
            || w.db
                .query_opt("SELECT id FROM subnet", vec![])
                .await
                .unwrap()
                .is_some()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look)
        .await
        .unwrap();
    w.until(&net, |s, _| s == Some(Status::Active)).await;
    let next = w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    assert_eq!(next.cidr, sub.cidr);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn concurrent_choices_never_collide() {
    let w = Arc::new(fixture().await);
    let mut nets = Vec::new();
    for _ in 0..8 {
        nets.push(w.net("n").await);
    }
    let jobs: Vec<_> = nets
        .iter()
        .map(|net| {
            let (w, new, net) = (w.clone(), w.sub(net), net.clone());
            tokio::spawn(async move {
                let cidr = w.api.subnets.create(&w.ctx, new).await.unwrap().cidr;
                let ports = (0..4).map(|_| w.api.ports.create(&w.ctx, w.port(&net)));
                let ports: Vec<_> = futures_util::future::join_all(ports).await;
                let mut ips: Vec<_> = ports.into_iter().map(|p| p.unwrap().ip).collect();
                ips.sort();
                ips.dedup();
                assert_eq!(ips.len(), 4);
                cidr
            })
        })
        .collect();
    let mut cidrs = Vec::new();
    for job in jobs {
        cidrs.push(job.await.unwrap());
    }
    cidrs.sort();
    cidrs.dedup();
    assert_eq!(cidrs.len(), 8);
}

#[tokio::test]
async fn impossible_requests_are_refused_clearly() {
    let w = fixture().await;
    let (a, b) = (w.net("a").await, w.net("b").await);
    let fixed = |net: &NetworkId, cidr: &str| NewSubnet {
        cidr: Some(cidr.into()),
        ..w.sub(net)
    };
    w.api
        .subnets
        .create(&w.ctx, fixed(&a, "10.9.0.0/16"))
        .await
        .unwrap();
    let e = w
        .api
        .subnets
        .create(&w.ctx, fixed(&b, "10.9.1.0/24"))
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Conflict);
    assert!(e.message.contains("10.9.1.0/24 overlaps a range"), "{e}");
    assert!(!e.message.contains("10.9.0.0/16"), "{e}");
    let second = w
        .api
        .subnets
        .create(&w.ctx, fixed(&a, "10.10.0.0/24"))
        .await;
    assert!(second.unwrap_err().message.contains("already"));
    let no_subnet = w.api.ports.create(&w.ctx, w.port(&b)).await;
    assert!(no_subnet.unwrap_err().message.contains("no subnet"));
    let port = NewPort {
        ip: Some("10.9.0.5".into()),
        ..w.port(&a)
    };
    w.api.ports.create(&w.ctx, port.clone()).await.unwrap();
    let twin = NewPort {
        id: PortId::random(),
        ..port
    };
    let e = w.api.ports.create(&w.ctx, twin).await.unwrap_err();
    assert!(e.message.contains("10.9.0.5 is in use"), "{e}");
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let w = fixture().await;
    seed(&w.db).await.unwrap();
    seed(&w.db).await.unwrap();
    let net = w.net("private").await;
    let other = Ctx::for_project("req-2", "p2");
    let nets = &w.api.networks;
    assert!(nets.show(&other, &net).await.unwrap_err().is_not_found());
    assert!(
        nets.find(&other, "private")
            .await
            .unwrap_err()
            .is_not_found()
    );
    nets.delete(&other, &net).await.unwrap();
    assert_eq!(nets.find(&w.ctx, "private").await.unwrap().id, net);
    let public = nets.find(&other, "public").await.unwrap();
    assert!(public.external);
    let e = nets.delete(&other, &public.id).await.unwrap_err();
    assert_eq!(e.kind, Kind::Forbidden);
    let foreign = NewSubnet {
        project_id: "p2".into(),
        ..w.sub(&net)
    };
    let e = w.api.subnets.create(&other, foreign).await.unwrap_err();
    assert!(e.is_not_found());
    let router = NewRouter {
        id: RouterId::random(),
        project_id: "p1".into(),
        name: "r".into(),
        external_network: Some("public".into()),
    };
    let made = w.api.routers.create(&w.ctx, router).await.unwrap();
    assert_eq!(made.external_network, Some(public.id));
    assert!(
        w.api
            .routers
            .show(&other, &made.id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    w.net("private").await;
    let e = nets.find(&w.ctx, "private").await.unwrap_err();
    assert_eq!(e.kind, Kind::Conflict);
}

#[tokio::test]
async fn a_failing_fabric_ends_in_error_and_can_be_deleted() {
    let w = fixture().await;
    let fault = |transient, message: &str| SimFault {
        step: Step::NetworkEnsure,
        name: String::new(),
        transient,
        message: message.into(),
        times: 1,
    };
    w.sim
        .inject(fault(true, "the engine does not answer"))
        .await
        .unwrap();
    let net = w.net("n").await;
    w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.work();
    w.until(&net, |s, why| {
        s == Some(Status::Build) && why == Some("the engine does not answer")
    })
    .await;
    w.until(&net, |s, why| s == Some(Status::Active) && why.is_none())
        .await;
    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;

    w.sim.inject(fault(false, "Pool overlaps")).await.unwrap();
    let net = w.net("n").await;
    w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.until(&net, |s, why| {
        s == Some(Status::Error) && why == Some("Pool overlaps")
    })
    .await;
    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_real_engine_carries_a_network() {
    if std::env::var_os("JEROBOAM_TEST_DOCKER").is_none() {
        return;
    }
    let mut w = fixture().await;
    let isolation = docker::Isolation {
        outside: false,
        host_services: Vec::new(),
        bootstrap_port: 9512,
    };
    let engine = docker::Engine::connect(None)
        .unwrap()
        .isolate(Some(isolation));
    let config = NetworkConfig {
        pool: "172.29.64.0/20".parse().unwrap(),
        ..NetworkConfig::new(ids::hex())
    };
    w.service = NetworkService::new(w.db.clone(), Arc::new(engine.clone()), config);
    w.api = w.service.api();
    w.work();
    let net = w.net("real").await;
    w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.until(&net, |s, why| {
        assert_ne!(s, Some(Status::Error), "{why:?}");
        s == Some(Status::Active)
    })
    .await;
    let gateway = *w.service.gateways().borrow().first().unwrap();
    std::net::TcpListener::bind((gateway, 0)).expect("the gateway can be bound");
    assert!(w.service.leaks().await.unwrap().is_empty());
    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;
    let left = NetworkFabric::list(&engine).await.unwrap();
    assert!(left.iter().all(|b| b.name != host_name(&net)));
    w.tasks.stop(Duration::from_secs(5)).await;
}
