//! The simulated engine behaves like Docker, with injected faults.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use kernel::{Error, Kind};
use tokio::time::{sleep, timeout};

use super::{
    Call, CallKind, Delivery, Effect, FaultInjector, InjectedFault, Outcome, Restart, SimConfig,
    Simulator,
};
use crate::{
    Actor, BridgeSpec, ContainerHost, ContainerSpec, ContainerState, Endpoint, LABEL, LABEL_BUILD,
    NetworkFabric, Observed, VolumeSpec, VolumeStore, is_stale,
};

const FIRST: Actor = Actor::Lease(1);
const SECOND: Actor = Actor::Lease(2);

#[derive(Default)]
struct Script {
    call_faults: Mutex<VecDeque<(CallKind, InjectedFault)>>,
    events: Mutex<VecDeque<Delivery>>,
}

impl Script {
    fn then(&self, kind: CallKind, outcome: Outcome) {
        let injected = InjectedFault {
            outcome,
            ..InjectedFault::default()
        };
        self.call_faults.lock().unwrap().push_back((kind, injected));
    }
}

impl FaultInjector for Script {
    fn decide_call(&self, call: &Call) -> InjectedFault {
        let mut call_faults = self.call_faults.lock().unwrap();
        match call_faults.front() {
            Some((kind, _)) if *kind == call.kind => call_faults.pop_front().unwrap().1,
            _ => InjectedFault::default(),
        }
    }

    fn decide_delivery(&self, _event: &Observed, _process: &str) -> Delivery {
        self.events.lock().unwrap().pop_front().unwrap_or_default()
    }
}

async fn engine() -> (Simulator, Arc<Script>) {
    let script = Arc::new(Script::default());
    let sim = Simulator::open_under(":memory:", SimConfig::instant(), script.clone())
        .await
        .unwrap();
    sim.add_image("image", &[]).await.unwrap();
    (sim, script)
}

fn spec(build: i64) -> ContainerSpec {
    ContainerSpec {
        name: "jb-srv-1".into(),
        image: "image".into(),
        labels: BTreeMap::from([
            (LABEL.to_owned(), "1".to_owned()),
            (LABEL_BUILD.to_owned(), build.to_string()),
        ]),
        volumes: vec![VolumeSpec {
            name: format!("jb-srv-1-docker-{build}"),
            target: "/var/lib/docker".into(),
        }],
        restart: true,
        ..ContainerSpec::default()
    }
}

fn summarise(effects: &[Effect]) -> Vec<(&str, &str, Option<i64>)> {
    effects
        .iter()
        .map(|e| (e.call.as_str(), e.object.as_str(), e.epoch))
        .collect()
}

async fn effects(sim: &Simulator, number: usize) -> Vec<Effect> {
    let wait = async {
        loop {
            let found = sim.effects().await.unwrap();
            if found.len() >= number {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.unwrap()
}

#[tokio::test]
async fn objects_are_continued_replaced_or_left_alone_by_build_and_epoch() {
    let (sim, _script) = engine().await;
    let first = sim.create(SECOND, &spec(1)).await.unwrap();
    assert_eq!(sim.create(SECOND, &spec(1)).await.unwrap(), first);
    assert!(is_stale(&sim.create(FIRST, &spec(1)).await.unwrap_err()));
    let next = sim.create(FIRST, &spec(2)).await.unwrap();
    assert_ne!(next, first);
    assert!(is_stale(&sim.create(SECOND, &spec(1)).await.unwrap_err()));
    // A delayed removal refers to the deleted container and does not affect its
    // successor.
    ContainerHost::remove(&sim, SECOND, &first).await.unwrap();
    assert_eq!(sim.inspect("jb-srv-1").await.unwrap().unwrap().id, next);
    assert!(
        sim.start(FIRST, "jb-srv-1")
            .await
            .unwrap_err()
            .is_not_found()
    );
    let e = sim
        .remove_volume(SECOND, "jb-srv-1-docker-2")
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Conflict);
    sim.remove_volume(Actor::Sweep, "jb-srv-1-docker-1")
        .await
        .unwrap();
    let all = sim.effects().await.unwrap();
    assert_eq!(
        summarise(&all),
        [
            ("create", "container", Some(2)),
            ("remove", "container", Some(1)),
            ("create", "container", Some(1)),
            ("remove", "volume", None),
        ]
    );
    assert_eq!((&all[0].engine_id, &all[2].engine_id), (&first, &next));
}

#[tokio::test]
async fn answers_are_lost_or_late_as_injected() {
    let (sim, script) = engine().await;
    let refused = Outcome::Refused(Error::unavailable("no"));
    script.then(CallKind::Create, refused);
    assert!(sim.create(FIRST, &spec(1)).await.is_err());
    assert!(sim.effects().await.unwrap().is_empty());

    let later = Duration::from_millis(150);
    script.then(CallKind::Create, Outcome::Registering(later));
    let e = sim.create(FIRST, &spec(1)).await.unwrap_err();
    assert_eq!(e.kind, Kind::Timeout);
    let e = sim.create(FIRST, &spec(1)).await.unwrap_err();
    assert!(e.is_transient() && e.message.contains("registers"), "{e}");
    assert!(sim.inspect("jb-srv-1").await.unwrap().is_none());
    let id = effects(&sim, 1).await.remove(0).engine_id;

    script.then(CallKind::Start, Outcome::AnswerLost);
    assert_eq!(sim.start(FIRST, &id).await.unwrap_err().kind, Kind::Timeout);
    sim.start(FIRST, &id).await.unwrap();
    script.then(CallKind::Remove, Outcome::Late(later));
    assert!(ContainerHost::remove(&sim, FIRST, &id).await.is_err());
    assert!(sim.inspect(&id).await.unwrap().is_some());
    let all = effects(&sim, 3).await;
    assert_eq!(
        summarise(&all),
        [
            ("create", "container", Some(1)),
            ("start", "container", Some(1)),
            ("remove", "container", Some(1)),
        ]
    );
}

#[tokio::test]
async fn a_call_takes_effect_after_its_caller_has_stopped_waiting() {
    let config = SimConfig {
        create: Duration::from_millis(100),
        ..SimConfig::instant()
    };
    let sim = Simulator::open_with(":memory:", config).await.unwrap();
    sim.add_image("image", &[]).await.unwrap();
    let cancelled = timeout(Duration::from_millis(20), sim.create(FIRST, &spec(1))).await;
    assert!(cancelled.is_err());
    assert_eq!(effects(&sim, 1).await.len(), 1);
}

#[tokio::test]
async fn a_restart_ends_streams_and_calls_in_progress() {
    let (sim, script) = engine().await;
    let id = sim.create(FIRST, &spec(1)).await.unwrap();
    sim.start(FIRST, &id).await.unwrap();
    let mut events = ContainerHost::events(&sim).await.unwrap();
    let other = sim.process();
    assert_ne!(other.process_name(), sim.process_name());
    let late = Outcome::Late(Duration::from_millis(50));
    script.then(CallKind::Stop, late);
    assert!(sim.stop(FIRST, &id, 0).await.is_err());
    let engine = sim.clone();
    let restart = tokio::spawn(async move {
        let downtime = Duration::from_millis(200);
        engine.restart_engine(downtime, Restart::Stop).await
    });
    assert!(events.next().await.is_none());
    assert!(other.info().await.unwrap_err().is_transient());
    restart.await.unwrap().unwrap();
    let view = other.inspect(&id).await.unwrap().unwrap();
    assert_eq!(view.state, ContainerState::Running);
    assert_eq!(sim.effects().await.unwrap().len(), 2);
}

#[tokio::test]
async fn events_reach_all_processes_and_can_be_lost_or_delayed() {
    let (sim, script) = engine().await;
    let other = sim.process();
    let mut here = ContainerHost::events(&sim).await.unwrap();
    let mut there = ContainerHost::events(&other).await.unwrap();
    let delay = Delivery::After(Duration::from_millis(20));
    script
        .events
        .lock()
        .unwrap()
        .extend([Delivery::Lost, delay]);
    let id = sim.create(FIRST, &spec(1)).await.unwrap();
    let event = there.next().await.unwrap();
    assert_eq!((event.id.as_str(), event.action.as_str()), ("1", "create"));
    sim.start(FIRST, &id).await.unwrap();
    assert_eq!(here.next().await.unwrap().action, "start");
}

#[tokio::test]
async fn a_network_with_containers_stays() {
    let (sim, _script) = engine().await;
    let bridge = BridgeSpec {
        name: "jb-net-1".into(),
        labels: BTreeMap::from([(LABEL.to_owned(), "1".to_owned())]),
        cidr: "10.0.0.0/24".parse().unwrap(),
        gateway: "10.0.0.1".parse().unwrap(),
        internal: false,
        mtu: None,
    };
    let created = sim.ensure(SECOND, &bridge).await.unwrap();
    assert!(is_stale(&sim.ensure(FIRST, &bridge).await.unwrap_err()));
    let mut events = NetworkFabric::events(&sim).await.unwrap();
    let mut guest = spec(1);
    guest.endpoints.push(Endpoint {
        network: "jb-net-1".into(),
        ipv4: None,
        mac: None,
        aliases: vec![],
    });
    let id = sim.create(FIRST, &guest).await.unwrap();
    let e = NetworkFabric::remove(&sim, SECOND, &created.id)
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Conflict);
    ContainerHost::remove(&sim, FIRST, &id).await.unwrap();
    assert_eq!(events.next().await.unwrap().action, "disconnect");
    NetworkFabric::remove(&sim, SECOND, &created.id)
        .await
        .unwrap();
    assert!(sim.named("jb-net-1").await.unwrap().is_empty());
}

/// Requirements of a simulation: no real time, and the same run for the same
/// seed.
#[tokio::test(start_paused = true)]
async fn a_seed_repeats_a_simulation_without_real_time() {
    async fn run() -> (Vec<String>, Duration) {
        kernel::ids::simulate(Some(7));
        let script = Arc::new(Script::default());
        let sim = Simulator::open_under(":memory:", SimConfig::default(), script.clone())
            .await
            .unwrap();
        sim.add_image("image", &[]).await.unwrap();
        let begin = tokio::time::Instant::now();
        let late = Outcome::Late(Duration::from_secs(3600));
        script.then(CallKind::Create, late);
        assert!(sim.create(FIRST, &spec(1)).await.is_err());
        sleep(Duration::from_secs(3601)).await;
        let id = sim.inspect("jb-srv-1").await.unwrap().unwrap().id;
        sim.start(FIRST, &id).await.unwrap();
        let effects = sim.effects().await.unwrap();
        let took = begin.elapsed();
        kernel::ids::simulate(None);
        (effects.into_iter().map(|e| e.engine_id).collect(), took)
    }
    let first = run().await;
    assert_eq!(first.0.len(), 2);
    assert_eq!(first, run().await);
}

#[test]
fn objects_that_an_earlier_release_stored_are_read_and_stored_alike() {
    let container = concat!(
        r#"{"name":"jb-srv-1","hostname":"h","image":"i","command":null,"env":{},"#,
        r#""labels":{},"cpu_shares":1024,"memory":536870912,"access":"Node","#,
        r#""files":[{"path":"/f","mode":384,"content":[1]}],"#,
        r#""endpoints":[{"network":"n","ipv4":"10.0.0.2","mac":null,"aliases":[]}],"#,
        r#""volumes":[{"name":"v","target":"/v"}],"stop_timeout":10,"restart":true,"#,
        r#""foreign":{"entrypoint":null,"init":null,"tty":false,"tmpfs":[],"#,
        r#""shown":["/lib/modules"],"program":null,"pull":false}}"#,
    );
    let spec: ContainerSpec = serde_json::from_str(container).unwrap();
    assert_eq!(spec.foreign.read_only_mounts, ["/lib/modules"]);
    assert_eq!(serde_json::to_string(&spec).unwrap(), container);
    let network = concat!(
        r#"{"name":"jb-net-1","labels":{},"cidr":"10.0.0.0/24","#,
        r#""gateway":"10.0.0.1","internal":false,"mtu":null}"#,
    );
    let spec: BridgeSpec = serde_json::from_str(network).unwrap();
    assert_eq!(serde_json::to_string(&spec).unwrap(), network);
}
