//! Behaviour of a server with an engine that is slow, loses answers, answers
//! late or was replaced by another engine.

use kernel::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::values;
use infra::sim::{
    Call, CallKind, Delivery, Effect, FaultInjector, InjectedFault, Outcome, SimConfig, Simulator,
};
use infra::{
    Actor, ContainerHost, ContainerSpec, ImageStore as _, Isolation, Observed, VolumeSpec,
};
use kernel::{Ctx, Error, Kind};
use testkit::eventually;

use super::{Fixture, ReversingSealer, small};
use crate::api::{NewImage, ServerStatus};
use crate::{Compute, ComputeConfig, FlavorId, ImageId, ServerId, container_name};

const SOON: Duration = Duration::from_secs(20);

/// Outcomes for the next calls of a kind, and a count of all calls.
#[derive(Default)]
pub(super) struct Script {
    next: Mutex<Vec<(CallKind, Outcome)>>,
    lost: Mutex<Vec<&'static str>>,
    calls: Mutex<BTreeMap<CallKind, usize>>,
}

impl Script {
    pub(super) fn then(&self, kind: CallKind, outcome: Outcome) {
        self.next.lock().unwrap().push((kind, outcome));
    }

    fn lose(&self, action: &'static str) {
        self.lost.lock().unwrap().push(action);
    }

    pub(super) fn calls(&self, kind: CallKind) -> usize {
        self.calls.lock().unwrap().get(&kind).copied().unwrap_or(0)
    }
}

impl FaultInjector for Script {
    fn decide_call(&self, call: &Call) -> InjectedFault {
        *self.calls.lock().unwrap().entry(call.kind).or_default() += 1;
        let mut next = self.next.lock().unwrap();
        let outcome = next
            .iter()
            .position(|(kind, _)| *kind == call.kind)
            .map(|i| next.remove(i).1)
            .unwrap_or_default();
        InjectedFault {
            outcome,
            ..InjectedFault::default()
        }
    }

    fn decide_delivery(&self, event: &Observed, _process: &str) -> Delivery {
        let lost = self.lost.lock().unwrap();
        match lost.contains(&event.action.as_str()) {
            true => Delivery::Lost,
            false => Delivery::Now,
        }
    }
}

async fn fixture() -> (Fixture, Arc<Script>) {
    let script = Arc::new(Script::default());
    let w = Fixture::under(small(), script.clone()).await;
    (w, script)
}

fn of<'a>(effects: &'a [Effect], call: &str, object: &str) -> Vec<&'a Effect> {
    let matching = |e: &&Effect| e.call == call && e.object == object;
    effects.iter().filter(matching).collect()
}

impl Fixture {
    async fn engine_id(&self, server: &ServerId) -> String {
        let found = self.sim.inspect(&container_name(server)).await.unwrap();
        found.unwrap().id
    }

    async fn swept(&self, created: usize) {
        eventually("what came late is gone", SOON, || async {
            let effects = self.sim.effects().await.unwrap();
            of(&effects, "create", "container").len() == created
                && ContainerHost::list(&self.sim).await.unwrap().is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn a_container_that_is_made_after_its_server_is_gone_is_removed() {
    for lost in [false, true] {
        let (w, script) = fixture().await;
        if lost {
            script.lose("create");
        }
        let net = w.net().await;
        script.then(CallKind::Create, Outcome::Late(Duration::from_millis(600)));
        let new = w.server(&net);
        w.create(&new).await;
        w.work();
        w.until(&new.id, |s| {
            s.is_some_and(|s| {
                s.progress
                    .as_deref()
                    .is_some_and(|p| p.contains("no answer"))
            })
        })
        .await;
        w.gone(&new.id).await;
        w.swept(1).await;
        let effects = w.sim.effects().await.unwrap();
        let removed = of(&effects, "remove", "container");
        assert_eq!(removed.len(), 1);
        assert_eq!(removed[0].epoch, None, "the sweep removed it");
        eventually("its volume is gone", SOON, || async {
            w.compute.leaks().await.unwrap().is_empty()
        })
        .await;
        w.assert_clean().await;
        w.tasks.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_container_that_can_never_be_started_is_replaced() {
    let (w, script) = fixture().await;
    let net = w.net().await;
    let broken = infra::unusable("task 17: already exists");
    script.then(CallKind::Start, Outcome::Refused(broken));
    let new = w.server(&net);
    w.create(&new).await;
    w.work();
    w.status(&new.id, ServerStatus::Active).await;
    let effects = w.sim.effects().await.unwrap();
    assert_eq!(of(&effects, "create", "container").len(), 2);
    assert_eq!(of(&effects, "remove", "container").len(), 1);
    assert_eq!(ContainerHost::list(&w.sim).await.unwrap().len(), 1);
    assert!(w.compute.leaks().await.unwrap().is_empty());
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_name_that_is_still_being_registered_is_tried_again() {
    let (w, script) = fixture().await;
    let net = w.net().await;
    let wait = Duration::from_millis(1500);
    script.then(CallKind::Create, Outcome::Registering(wait));
    script.then(CallKind::Start, Outcome::AnswerLost);
    let new = w.server(&net);
    w.create(&new).await;
    w.work();
    w.status(&new.id, ServerStatus::Active).await;
    let effects = w.sim.effects().await.unwrap();
    assert_eq!(of(&effects, "create", "container").len(), 1);
    assert_eq!(of(&effects, "start", "container").len(), 1);
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_engine_that_was_away_for_minutes_is_waited_for() {
    let (w, script) = fixture().await;
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let long_ago = kernel::clock::now() - Duration::from_mins(15);
    let mut tx = w.db.begin().await.unwrap();
    tx.execute("UPDATE server SET trouble_since = ?", values![long_ago])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let away = Error::unavailable("the engine does not answer");
    script.then(CallKind::Create, Outcome::Refused(away));
    w.work();
    w.until(&new.id, |s| {
        s.is_some_and(|s| s.progress.as_deref() == Some("the engine does not answer"))
    })
    .await;
    // It answers again: its event stream ends, and waiting runs continue.
    w.sim
        .restart_engine(Duration::from_millis(100), infra::sim::Restart::Keep)
        .await
        .unwrap();
    let s = w.status(&new.id, ServerStatus::Active).await;
    assert_eq!(s.progress, None);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_missed_container_exit_is_detected_by_the_resync() {
    let (w, script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    for _ in 0..2 {
        let slow = Error::timeout("no answer in time");
        script.then(CallKind::Inspect, Outcome::Refused(slow));
    }
    w.sim
        .kill(&container_name(&new.id), 0, false)
        .await
        .unwrap();
    w.until(&new.id, |s| {
        s.is_some_and(|s| {
            s.progress
                .as_deref()
                .is_some_and(|p| p.contains("not known"))
        })
    })
    .await;
    let s = w.status(&new.id, ServerStatus::Shutoff).await;
    assert_eq!(s.progress, None);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_death_while_the_node_boots_marks_the_owner_at_once() {
    let (w, _script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    let mut tx = w.db.begin().await.unwrap();
    tx.execute("DELETE FROM flow_key WHERE kind = 'stack'", vec![])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    w.sim
        .kill(&container_name(&new.id), 3, false)
        .await
        .unwrap();
    eventually("the owner is marked", Duration::from_secs(1), || async {
        w.db.query_opt("SELECT id FROM flow_key WHERE kind = 'stack'", vec![])
            .await
            .unwrap()
            .is_some()
    })
    .await;
    let s = w.status(&new.id, ServerStatus::Error).await;
    assert!(s.fault.unwrap().message.contains("code 3"));
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_delayed_removal_does_not_affect_the_successor() {
    let (w, _script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    let first = w.engine_id(&new.id).await;
    w.api
        .servers
        .rebuild(&w.ctx, &new.id, "{\"token\":\"two\"}")
        .await
        .unwrap();
    w.status(&new.id, ServerStatus::Active).await;
    let second = w.engine_id(&new.id).await;
    assert_ne!(first, second);
    ContainerHost::remove(&w.sim, Actor::Lease(1), &first)
        .await
        .unwrap();
    assert_eq!(w.engine_id(&new.id).await, second);
    // Each build has new volumes.
    let spec = w.sim.running().await.unwrap().pop().unwrap();
    assert!(spec.volumes[0].name.ends_with("-docker-2"), "{spec:?}");
    assert!(w.compute.leaks().await.unwrap().is_empty());
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_volume_in_use_is_waited_for_with_its_reason() {
    let (w, script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    let spec = w.sim.running().await.unwrap().pop().unwrap();
    let guest = ContainerSpec {
        name: "guest".into(),
        image: "jeroboam/swarm:1".into(),
        volumes: vec![VolumeSpec {
            name: spec.volumes[0].name.clone(),
            target: "/x".into(),
        }],
        ..ContainerSpec::default()
    };
    let guest = w.sim.create(Actor::Lease(1), &guest).await.unwrap();
    w.api.servers.delete(&w.ctx, &new.id).await.unwrap();
    w.until(&new.id, |s| {
        let reason = s.and_then(|s| s.progress.as_deref());
        reason.is_some_and(|p| p.contains("in use by container guest"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tries = script.calls(CallKind::RemoveVolume);
    assert!(tries <= 8, "{tries} tries in 3 s");
    // A permanent refusal is reported in the end.
    let mut tx = w.db.begin().await.unwrap();
    let long_ago = kernel::clock::now() - Duration::from_secs(700);
    tx.execute("UPDATE server SET trouble_since = ?", values![long_ago])
        .await
        .unwrap();
    db::mark(&mut tx, "server", &new.id).await.unwrap();
    tx.commit().await.unwrap();
    let s = w.status(&new.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(why.contains("could not be removed"), "{why}");
    ContainerHost::remove(&w.sim, Actor::Lease(1), &guest)
        .await
        .unwrap();
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn another_engine_on_the_same_database_is_refused() {
    let (w, _script) = fixture().await;
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let on = |sim: &Simulator| {
        Compute::new(
            w.db.clone(),
            Arc::new(sim.clone()),
            w.network.api(),
            ComputeConfig::new("test"),
            Arc::new(ReversingSealer),
        )
    };
    on(&w.sim.process()).seed().await.unwrap();
    for host in ["sim-1", "sim-2"] {
        let config = SimConfig {
            host: host.into(),
            ..small()
        };
        let other = Simulator::open_with(":memory:", config).await.unwrap();
        let second = on(&other);
        let e = second.seed().await.unwrap_err();
        assert_eq!(e.kind, Kind::Conflict);
        assert!(e.message.contains("Connect it to the same engine"), "{e}");
        // It does not act either if the mismatch was detected later.
        let leases = db::claim_for(&w.db, &["server"], "second", 1, Duration::ZERO)
            .await
            .unwrap();
        second.reconcilers()[0].run(&leases[0]).await.unwrap_err();
        assert!(ContainerHost::list(&other).await.unwrap().is_empty());
        let s = w.show(&new.id).await.unwrap();
        assert_eq!((s.status, s.fault), (ServerStatus::Build, None));
    }
}

#[tokio::test]
async fn one_pull_serves_all_servers_and_holds_no_run() {
    let script = Arc::new(Script::default());
    let config = SimConfig {
        pull: Duration::from_millis(800),
        ..small()
    };
    let w = Fixture::under(config, script.clone()).await;
    let image = |name: &str, reference: &str| NewImage {
        name: name.into(),
        os_distro: Some("debian".into()),
        properties: BTreeMap::from([("jeroboam_node".into(), "true".into())]),
        reference: reference.into(),
    };
    for (name, reference) in [("kind", "kindest/node:v1"), ("lost", "kindest/node:v9")] {
        let new = image(name, reference);
        w.api.images.register(&w.ctx, new).await.unwrap();
    }
    w.work();
    let net = w.net().await;
    let mut servers = Vec::new();
    for _ in 0..3 {
        let mut new = w.server(&net);
        new.image = "kind".into();
        w.create(&new).await;
        servers.push(new.id);
    }
    w.until(&servers[2], |s| {
        let reason = s.and_then(|s| s.progress.as_deref());
        reason == Some("host sim-1 pulls image kindest/node:v1")
    })
    .await;
    for id in &servers {
        w.status(id, ServerStatus::Active).await;
    }
    assert_eq!(script.calls(CallKind::Pull), 1);
    assert!(w.sim.has_image("kindest/node:v1").await.unwrap());

    let refused = Error::new(Kind::NotFound, "image kindest/node:v9 could not be pulled");
    script.then(CallKind::Pull, Outcome::Refused(refused));
    let mut new = w.server(&net);
    new.image = "lost".into();
    w.create(&new).await;
    let s = w.status(&new.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(why.contains("could not be pulled"), "{why}");
    w.tasks.stop(Duration::from_secs(5)).await;
}

fn generation(n: i64) -> Ctx {
    Ctx::for_project("req-g", "p1").with_generation(n)
}

#[tokio::test]
async fn a_stale_rebuild_does_not_wipe_an_active_server() {
    let (w, _script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    let servers = &w.api.servers;
    servers.create(&generation(3), new.clone()).await.unwrap();
    w.status(&new.id, ServerStatus::Active).await;
    servers
        .rebuild(&generation(5), &new.id, "{}")
        .await
        .unwrap();
    w.status(&new.id, ServerStatus::Active).await;
    let running = w.engine_id(&new.id).await;
    // The same call again, and one that was delayed.
    let again = servers.rebuild(&generation(5), &new.id, "{}").await;
    assert_eq!(again.unwrap().status, ServerStatus::Active);
    let stale = servers.rebuild(&generation(4), &new.id, "{}").await;
    assert!(stale.is_err());
    assert_eq!(w.show(&new.id).await.unwrap().status, ServerStatus::Active);
    assert_eq!(w.engine_id(&new.id).await, running);
    // A delayed delete of an older generation changes nothing.
    assert!(servers.delete(&generation(4), &new.id).await.is_err());
    assert_eq!(w.show(&new.id).await.unwrap().status, ServerStatus::Active);
    servers.delete(&generation(6), &new.id).await.unwrap();
    w.until(&new.id, |s| s.is_none()).await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_delayed_create_creates_nothing() {
    let (w, _script) = fixture().await;
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    let servers = &w.api.servers;
    servers.create(&generation(3), new.clone()).await.unwrap();
    servers.delete(&generation(4), &new.id).await.unwrap();
    w.until(&new.id, |s| s.is_none()).await;
    for ctx in [generation(3), generation(9)] {
        assert!(servers.create(&ctx, new.clone()).await.is_err());
    }
    // The delete arrived before the create that it cancels.
    let unknown = w.server(&net);
    servers.delete(&generation(4), &unknown.id).await.unwrap();
    assert!(servers.create(&generation(3), unknown).await.is_err());
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_status_of_a_newer_release_is_left_alone() {
    let (w, _script) = fixture().await;
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let mut tx = w.db.begin().await.unwrap();
    tx.execute("UPDATE server SET status = 'SHELVED'", vec![])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let e = w.api.servers.show(&w.ctx, &new.id).await.unwrap_err();
    assert!(
        e.message
            .contains("'SHELVED' was written by a newer version"),
        "{e}"
    );
    let leases = db::claim_for(&w.db, &["server"], "me", 1, Duration::from_secs(1))
        .await
        .unwrap();
    assert!(w.compute.reconcilers()[0].run(&leases[0]).await.is_err());
    let row =
        w.db.query_opt("SELECT status FROM server", vec![])
            .await
            .unwrap();
    assert_eq!(row.unwrap().text("status").unwrap(), "SHELVED");
}

/// The columns of every table match the schema, and rows round-trip.
#[tokio::test]
async fn tables_are_as_the_schema_says_on_every_database() {
    use db::{Json, Table};

    async fn check<T: Table + std::fmt::Debug>(t: &testkit::TestDb, row: T) {
        let mut columns = T::COLUMNS.to_vec();
        columns.sort_unstable();
        assert_eq!(
            columns,
            db::columns_of(&t.db, T::TABLE).await.unwrap(),
            "{}: {}",
            t.name,
            T::TABLE
        );
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

    let mut steps = network::migrations().to_vec();
    steps.extend_from_slice(crate::migrations());
    for t in testkit::every_database(&steps).await {
        let some = || Some("x".to_owned());
        check(
            &t,
            crate::server::model::ServerRow {
                id: ServerId::random(),
                project_id: "p".into(),
                user_id: "u".into(),
                name: "n".into(),
                status: ServerStatus::Paused,
                progress: some(),
                fault_code: Some(500),
                fault: some(),
                image_id: "i".into(),
                reference: "r".into(),
                is_node: true,
                flavour: crate::api::NodeFlavour::K3s,
                flavor_id: "f".into(),
                vcpus: 1,
                ram: 2,
                host: some(),
                networks: Json(vec![]),
                addresses: Json(vec![Ipv4Addr::new(10, 0, 0, 1)]),
                user_data: None,
                metadata: Json(BTreeMap::from([("k".into(), "ü".into())])),
                trouble_since: Some(Timestamp::from_micros(3)),
                launched_at: None,
                owner_kind: some(),
                owner_id: some(),
                created_at: Timestamp::from_micros(4),
                build: 5,
                rebuilt_generation: Some(6),
                isolation: Isolation::UserNamespace,
            },
        )
        .await;
        check(
            &t,
            crate::host::HostRow {
                name: "h".into(),
                vcpus: 1,
                ram: 2,
                vcpus_used: 3,
                ram_used: 4,
                version: "v".into(),
                seen_at: Timestamp::from_micros(5),
                engine_id: some(),
                isolation: Isolation::UserNamespace,
                isolation_missing: some(),
            },
        )
        .await;
        check(
            &t,
            crate::ledger::table::LedgerRow {
                name: "l".into(),
                object: "volume".into(),
                server_id: ServerId::random(),
                host: "h".into(),
                created_at: Timestamp::from_micros(1),
                build: 2,
            },
        )
        .await;
        check(
            &t,
            crate::image::ImageRow {
                id: ImageId::random(),
                name: "i".into(),
                os_distro: some(),
                properties: Json(BTreeMap::new()),
                reference: "r".into(),
                created_at: Timestamp::from_micros(1),
                updated_at: Timestamp::from_micros(2),
            },
        )
        .await;
        check(
            &t,
            crate::flavor::FlavorRow {
                id: FlavorId::random(),
                name: "f".into(),
                vcpus: 1,
                ram: 2,
                disk: 3,
            },
        )
        .await;
        check(
            &t,
            crate::keypair::KeypairRow {
                name: "k".into(),
                project_id: "p".into(),
                public_key: "ssh".into(),
                fingerprint: "fp".into(),
            },
        )
        .await;
    }
}
