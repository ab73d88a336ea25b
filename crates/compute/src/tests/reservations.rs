//! What a host reserves for servers in user namespaces is released with them.

use std::sync::Arc;
use std::time::Duration;

use infra::sim::{CallKind, Outcome, SimConfig};
use infra::{Actor, ContainerHost, OfferedIsolation};
use kernel::Error;
use testkit::eventually;

use super::faults::Script;
use super::{Fixture, small};
use crate::api::{Isolation, NewServer, ServerStatus};
use crate::container_name;

const SOON: Duration = Duration::from_secs(20);

/// A fixture with an active server of this level, which is created under the script.
async fn active(isolation: Isolation) -> (Fixture, Arc<Script>, NewServer) {
    let script = Arc::new(Script::default());
    let w = Fixture::under(small(), script.clone()).await;
    w.work();
    let net = w.net().await;
    let new = NewServer {
        isolation,
        ..w.server(&net)
    };
    w.create(&new).await;
    w.status(&new.id, ServerStatus::Active).await;
    (w, script, new)
}

#[tokio::test]
async fn a_range_is_reserved_while_its_server_exists() {
    let (w, script, new) = active(Isolation::UserNamespace).await;
    assert_eq!(w.sim.reserved().await.unwrap(), [container_name(&new.id)]);
    // A removal is complete only after the release.
    let away = Error::unavailable("the engine does not answer");
    script.then(CallKind::Release, Outcome::Refused(away));
    script.then(CallKind::Release, Outcome::AnswerLost);
    w.gone(&new.id).await;
    assert_eq!(script.calls(CallKind::Release), 3);
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_server_without_a_user_namespace_reserves_nothing() {
    let (w, script, new) = active(Isolation::HostRoot).await;
    assert!(w.sim.reserved().await.unwrap().is_empty());
    w.gone(&new.id).await;
    assert_eq!(script.calls(CallKind::Release), 0);
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_container_without_its_range_is_replaced() {
    let script = Arc::new(Script::default());
    let config = SimConfig {
        create: Duration::from_millis(600),
        ..small()
    };
    let w = Fixture::under(config, script.clone()).await;
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let name = container_name(&new.id);
    // Another server releases the range before the container is created.
    w.work();
    eventually("the range is reserved", SOON, || async {
        w.sim.reserved().await.unwrap() == [name.clone()]
    })
    .await;
    w.sim.release(&name).await.unwrap();
    w.status(&new.id, ServerStatus::Active).await;
    assert_eq!(script.calls(CallKind::Create), 2);
    assert_eq!(w.sim.reserved().await.unwrap(), [name]);
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_reservation_without_a_row_is_reported_and_released() {
    let (w, _, new) = active(Isolation::UserNamespace).await;
    // A container of a server that this database does not know, as a delayed creation
    // leaves it, and an operator who removes it.
    let mut spec = w.sim.running().await.unwrap().pop().unwrap();
    spec.name = "jb-srv-forgotten".into();
    spec.volumes.clear();
    w.tasks.stop(Duration::from_secs(5)).await;
    let id = w.sim.create(Actor::Lease(1), &spec).await.unwrap();
    ContainerHost::remove(&w.sim, Actor::Lease(1), &id)
        .await
        .unwrap();
    let leaks = w.compute.leaks().await.unwrap();
    let found: Vec<_> = leaks.iter().map(|l| (l.object, l.name.as_str())).collect();
    assert_eq!(found, [("grant", "jb-srv-forgotten")]);
    w.compute.sweep().await.unwrap();
    eventually("it is released", SOON, || async {
        w.sim.reserved().await.unwrap() == [container_name(&new.id)]
    })
    .await;
    assert!(w.compute.leaks().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_of_a_level_that_no_host_offers_fails_with_the_reason() {
    let config = SimConfig {
        isolation: OfferedIsolation::host_root("the engine has no such runtime"),
        ..small()
    };
    let w = Fixture::under(config, Arc::new(Script::default())).await;
    let offered = w.api.hosts.isolation().await.unwrap();
    assert_eq!(offered.level, Isolation::HostRoot);
    w.work();
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    let s = w.status(&new.id, ServerStatus::Error).await;
    let why = s.fault.unwrap().message;
    assert!(
        why.contains("user-namespace") && why.contains("no such runtime"),
        "{why}"
    );
    w.gone(&new.id).await;
    w.assert_clean().await;
    w.tasks.stop(Duration::from_secs(5)).await;
}
