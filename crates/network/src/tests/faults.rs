//! An engine that answers late, delayed calls, and rows of a newer release.

use kernel::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use infra::sim::{Call, CallKind, FaultInjector, InjectedFault, Outcome};
use infra::{Actor, BridgeSpec, LABEL, LABEL_BUILD, LABEL_INSTALLATION, NetworkFabric};
use kernel::{Ctx, ids};
use testkit::eventually;

use super::{Fixture, fixture, fixture_with_faults};
use crate::api::{NewRouter, NewSecurityGroup, NewSubnet, Status};
use crate::{RouterId, SecurityGroupId, SubnetId, host_name};

const SOON: Duration = Duration::from_secs(20);

/// Outcomes for the next calls of a kind.
#[derive(Default)]
pub(super) struct Script(Mutex<Vec<(CallKind, Outcome)>>);

impl FaultInjector for Script {
    fn decide_call(&self, call: &Call) -> InjectedFault {
        let mut next = self.0.lock().unwrap();
        let found = next.iter().position(|(kind, _)| *kind == call.kind);
        InjectedFault {
            outcome: found.map(|i| next.remove(i).1).unwrap_or_default(),
            ..InjectedFault::default()
        }
    }
}

fn generation(n: i64) -> Ctx {
    Ctx::for_project("req-g", "p1").with_generation(n)
}

async fn bridges(w: &Fixture) -> usize {
    NetworkFabric::list(&w.sim).await.unwrap().len()
}

#[tokio::test]
async fn a_bridge_that_is_made_after_its_network_is_gone_is_removed() {
    let script = Arc::new(Script::default());
    let w = fixture_with_faults(script.clone()).await;
    let late = Outcome::Late(Duration::from_millis(600));
    script
        .0
        .lock()
        .unwrap()
        .push((CallKind::NetworkEnsure, late));
    let net = w.net("n").await;
    w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.work();
    w.until(&net, |_, why| why.is_some_and(|w| w.contains("no answer")))
        .await;
    w.api.networks.delete(&w.ctx, &net).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;
    eventually("it was made and removed", SOON, || async {
        let effects = w.sim.effects().await.unwrap();
        effects.iter().any(|e| e.call == "create") && bridges(&w).await == 0
    })
    .await;
    let effects = w.sim.effects().await.unwrap();
    let removed: Vec<_> = effects.iter().filter(|e| e.call == "remove").collect();
    assert_eq!(removed.len(), 1, "{effects:?}");
    assert_eq!(removed[0].epoch, None);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_bridge_of_an_earlier_subnet_is_replaced() {
    let w = fixture().await;
    let net = w.net("n").await;
    // Created by a delayed call for a previous subnet.
    let stale = BridgeSpec {
        name: host_name(&net),
        labels: [
            (LABEL, net.as_str()),
            (LABEL_BUILD, "0"),
            (LABEL_INSTALLATION, "other"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into(),
        cidr: "10.99.0.0/24".parse().unwrap(),
        gateway: "10.99.0.1".parse().unwrap(),
        internal: false,
        mtu: None,
    };
    let old = w.sim.ensure(Actor::Lease(50), &stale).await.unwrap();
    let sub = w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    w.work();
    w.until(&net, |s, _| s == Some(Status::Active)).await;
    let now = NetworkFabric::list(&w.sim).await.unwrap().pop().unwrap();
    assert_ne!(now.id, old.id);
    assert_eq!(now.cidr, Some(sub.cidr));
    // The removal by the delayed call does not affect it.
    NetworkFabric::remove(&w.sim, Actor::Lease(50), &old.id)
        .await
        .unwrap();
    assert_eq!(bridges(&w).await, 1);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_delayed_create_creates_nothing() {
    let w = fixture().await;
    w.work();
    let net = w.net("n").await;
    let sub = w.sub(&net);
    w.api
        .subnets
        .create(&generation(2), sub.clone())
        .await
        .unwrap();
    w.until(&net, |s, _| s == Some(Status::Active)).await;

    let port = w.port(&net);
    let ports = &w.api.ports;
    ports.create(&generation(2), port.clone()).await.unwrap();
    assert!(ports.delete(&generation(1), &port.id).await.is_err());
    ports.delete(&generation(3), &port.id).await.unwrap();
    assert!(ports.create(&generation(2), port).await.is_err());
    let unknown = w.port(&net);
    ports.delete(&generation(3), &unknown.id).await.unwrap();
    assert!(ports.create(&generation(2), unknown).await.is_err());

    let router = NewRouter {
        id: RouterId::random(),
        project_id: "p1".into(),
        name: "r".into(),
        external_network: None,
    };
    let routers = &w.api.routers;
    routers
        .create(&generation(2), router.clone())
        .await
        .unwrap();
    routers
        .add_interface(&generation(2), &router.id, &sub.id)
        .await
        .unwrap();
    routers
        .remove_interface(&generation(4), &router.id, &sub.id)
        .await
        .unwrap();
    assert!(
        routers
            .add_interface(&generation(3), &router.id, &sub.id)
            .await
            .is_err()
    );
    routers
        .add_interface(&generation(5), &router.id, &sub.id)
        .await
        .unwrap();
    routers.delete(&generation(3), &router.id).await.unwrap();
    assert!(routers.create(&generation(2), router).await.is_err());

    let group = NewSecurityGroup {
        id: SecurityGroupId::random(),
        project_id: "p1".into(),
        name: "g".into(),
        ..NewSecurityGroup::default()
    };
    let groups = &w.api.security_groups;
    groups.create(&generation(2), group.clone()).await.unwrap();
    groups.delete(&generation(3), &group.id).await.unwrap();
    assert!(groups.create(&generation(9), group).await.is_err());

    let subnets = &w.api.subnets;
    subnets.delete(&generation(3), &sub.id).await.unwrap();
    eventually("the bridge is gone", SOON, || async {
        bridges(&w).await == 0
    })
    .await;
    assert!(subnets.create(&generation(2), sub.clone()).await.is_err());
    let next = NewSubnet {
        id: SubnetId::random(),
        ..sub
    };
    subnets.create(&generation(2), next).await.unwrap();

    let networks = &w.api.networks;
    networks.delete(&generation(3), &net).await.unwrap();
    w.until(&net, |s, _| s.is_none()).await;
    let new = crate::api::NewNetwork {
        id: net,
        project_id: "p1".into(),
        ..crate::api::NewNetwork::default()
    };
    assert!(networks.create(&generation(2), new).await.is_err());
    assert_eq!(bridges(&w).await, 0);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_status_of_a_newer_release_is_left_alone() {
    let w = fixture().await;
    let net = w.net("n").await;
    w.api.subnets.create(&w.ctx, w.sub(&net)).await.unwrap();
    let mut tx = w.db.begin().await.unwrap();
    tx.execute("UPDATE network SET status = 'MIGRATING'", vec![])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let e = w.api.networks.show(&w.ctx, &net).await.unwrap_err();
    assert!(e.message.contains("written by a newer version"), "{e}");
    let leases = db::claim_for(&w.db, &["network"], "me", 1, Duration::from_secs(1))
        .await
        .unwrap();
    let run = w.service.reconcilers()[0].run(&leases[0]).await;
    assert!(run.is_err());
    let row = w.db.query_opt("SELECT status FROM network", vec![]).await;
    assert_eq!(row.unwrap().unwrap().text("status").unwrap(), "MIGRATING");
}

/// The columns of every table match the schema, and rows round-trip.
#[tokio::test]
async fn tables_are_as_the_schema_says_on_every_database() {
    use db::{Json, Table};

    async fn check<T: Table + std::fmt::Debug>(t: &testkit::TestDb, row: T) {
        let mut columns = T::COLUMNS.to_vec();
        columns.sort_unstable();
        let actual = db::columns_of(&t.db, T::TABLE).await.unwrap();
        assert_eq!(columns, actual, "{}: {}", t.name, T::TABLE);
        let mut tx = t.db.begin().await.unwrap();
        row.insert(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let rows = t.db.query(&T::select(), vec![]).await.unwrap();
        let back: Vec<String> = rows
            .iter()
            .map(|r| format!("{:?}", T::read(r).unwrap()))
            .collect();
        assert!(back.contains(&format!("{row:?}")), "{}: {back:?}", t.name);
    }

    for t in testkit::every_database(crate::migrations()).await {
        let (id, some) = (ids::uuid(), || Some("x".to_owned()));
        check(
            &t,
            crate::network::model::NetworkRow {
                id: id.as_str().into(),
                project_id: "p".into(),
                name: "n".into(),
                is_external: true,
                status: Status::Down,
                status_reason: some(),
                changed_at: Timestamp::from_micros(1),
                owner_kind: some(),
                owner_id: None,
                created_at: Timestamp::from_micros(2),
                build: 3,
            },
        )
        .await;
        check(
            &t,
            crate::subnet::SubnetRow {
                id: id.as_str().into(),
                project_id: "p".into(),
                network_id: id.as_str().into(),
                name: "n".into(),
                cidr: "10.0.0.0/24".parse().unwrap(),
                gateway_ip: "10.0.0.1".parse().unwrap(),
                dns: Json(vec!["9.9.9.9".into()]),
                deleting: true,
                owner_kind: None,
                owner_id: some(),
                created_at: Timestamp::from_micros(1),
            },
        )
        .await;
        check(
            &t,
            crate::port::table::PortRow {
                id: id.as_str().into(),
                project_id: "p".into(),
                network_id: id.as_str().into(),
                subnet_id: id.as_str().into(),
                name: "n".into(),
                ip: "10.0.0.2".parse().unwrap(),
                ip_number: 2,
                mac: "fa:00:00:00:00:01".into(),
                security_groups: Json(vec![]),
                device_id: some(),
                owner_kind: some(),
                owner_id: some(),
                created_at: Timestamp::from_micros(1),
            },
        )
        .await;
        check(
            &t,
            crate::router::table::RouterRow {
                id: id.as_str().into(),
                project_id: "p".into(),
                name: "r".into(),
                external_network: Some("x".into()),
                created_at: Timestamp::from_micros(1),
            },
        )
        .await;
        check(
            &t,
            crate::router::table::InterfaceRow {
                router_id: id.as_str().into(),
                subnet_id: id.as_str().into(),
            },
        )
        .await;
        check(
            &t,
            crate::security_group::table::SecurityGroupRow {
                id: id.into(),
                project_id: "p".into(),
                name: "g".into(),
                description: "d".into(),
                rules: Json(vec![]),
                created_at: Timestamp::from_micros(1),
            },
        )
        .await;
    }
}
