//! Calls that are late, repeated, or from another release.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{Fixture, PROJECT};
use kernel::{Ctx, Kind};
use orchestration::api::{Action, Signal, StackUpdate, Status, Unhealthy};
use serde_json::json;

const SMALL: &str = "heat_template_version: 2021-04-16
parameters: {token: {type: string, default: first}, signals: {type: number, default: 0}}
resources:
  net: {type: OS::Neutron::Net}
  server:
    type: OS::Nova::Server
    properties: {name: s, image: i, flavor: f, networks: [{network: {get_resource: net}}], user_data: {get_param: token}}
  handle: {type: OS::Heat::WaitConditionHandle}
  wait: {type: OS::Heat::WaitCondition, properties: {handle: {get_resource: handle}, count: {get_param: signals}, timeout: 600}}
outputs:
  data: {value: {get_attr: [wait, data]}}
";

/// The context of the owner's reconciler in a run with this epoch.
fn caller(generation: i64) -> Ctx {
    Ctx::for_project("req-owner", PROJECT).with_generation(generation)
}

fn signal(status: &str) -> Signal {
    Signal {
        id: "n".into(),
        status: status.into(),
        reason: status.to_lowercase(),
        data: json!(null),
    }
}

#[tokio::test]
async fn a_delayed_create_does_not_bring_a_removed_stack_back() {
    let w = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let s = w.stacks.create(&caller(1), new.clone()).await.unwrap();
    w.ends(&s.id, Action::Create, Status::Complete).await;
    w.stacks.delete(&caller(2), &s.id).await.unwrap();
    w.settle().await;
    assert!(w.show(&s.id).await.is_none());
    for generation in [1, 2, 3] {
        let late = w.stacks.create(&caller(generation), new.clone()).await;
        assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    }
    assert!(w.cloud.things().is_empty());
}

#[tokio::test]
async fn a_removal_before_its_delayed_creation() {
    let w = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let gone = w.stacks.delete(&caller(2), &new.id).await;
    assert!(gone.unwrap_err().is_not_found());
    let late = w.stacks.create(&caller(1), new.clone()).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    // A user who passes an unused id does not block it.
    let other = Fixture::new_stack(SMALL);
    let gone = w.stacks.delete(&w.ctx, &other.id).await;
    assert!(gone.unwrap_err().is_not_found());
    w.stacks.create(&caller(1), other).await.unwrap();
}

#[tokio::test]
async fn a_delayed_update_or_delete_does_not_undo_a_newer_update() {
    let w = Fixture::new().await;
    let s = w
        .stacks
        .create(&caller(1), Fixture::new_stack(SMALL))
        .await
        .unwrap();
    w.ends(&s.id, Action::Create, Status::Complete).await;
    let update = |token: &str| StackUpdate {
        parameters: fixture::parameters(&[("token", json!(token))]),
        disable_rollback: true,
        ..StackUpdate::default()
    };
    w.stacks
        .update(&caller(5), &s.id, update("new"))
        .await
        .unwrap();
    let late = w.stacks.update(&caller(4), &s.id, update("old")).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    let late = w.stacks.delete(&caller(4), &s.id).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    let lost = Unhealthy {
        name: "server".into(),
        incident: "x".into(),
        ..Unhealthy::default()
    };
    let late = w
        .stacks
        .mark_unhealthy(&caller(4), &s.id, &[lost], "")
        .await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    w.ends(&s.id, Action::Update, Status::Complete).await;
    let things = w.cloud.things();
    let server = things.values().find(|t| t.kind == "server").unwrap();
    assert_eq!(server.user_data.as_deref(), Some("new"));
    // Repeating the newest call is allowed.
    w.stacks
        .update(&caller(5), &s.id, update("new"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_delayed_signal_does_not_overwrite_a_newer_one() {
    let w = Fixture::new().await;
    let s = w.create(Fixture::new_stack(SMALL)).await;
    w.ends(&s.id, Action::Create, Status::Complete).await;
    let send_signal = async |generation, status| {
        let ctx = caller(generation);
        w.stacks
            .signal(&ctx, &s.id, "handle", signal(status))
            .await
            .unwrap();
    };
    send_signal(7, "SUCCESS").await;
    send_signal(6, "FAILURE").await;
    w.update(&s.id, None, &[("signals", json!(1))]).await;
    let s = w.ends(&s.id, Action::Update, Status::Complete).await;
    assert_eq!(s.outputs["data"], "{\"n\": null}");
}

#[tokio::test]
async fn of_two_equal_creates_both_find_the_stack() {
    let w = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let create = || w.stacks.create(&w.ctx, new.clone());
    let (a, b, c) = tokio::join!(create(), create(), create());
    for s in [a, b, c] {
        assert_eq!(s.unwrap().id, new.id);
    }
    // The same name is used by another stack.
    let twin = Fixture::new_stack(SMALL);
    let e = w.stacks.create(&w.ctx, twin).await.unwrap_err();
    assert_eq!(e.kind, Kind::AlreadyExists);
}

#[tokio::test]
async fn calls_to_services_carry_the_epoch_of_the_lease() {
    let w = Fixture::new().await;
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.ends(&id, Action::Create, Status::Complete).await;
    let seen = w.cloud.generations();
    assert!(
        !seen.is_empty() && seen.iter().all(|g| g.is_some_and(|g| g > 0)),
        "{seen:?}"
    );
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn an_unhealthy_server_is_rebuilt_once_per_incident() {
    let w = Fixture::new().await;
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.ends(&id, Action::Create, Status::Complete).await;
    let before: Vec<String> = w.cloud.things().into_keys().collect();
    let rebuilds = || {
        w.cloud
            .log()
            .iter()
            .filter(|l| l.starts_with("rebuild"))
            .count()
    };
    w.cloud.fail("s");
    w.unhealthy(&id, None, "server", "first").await;
    w.poke(&id).await;
    assert_eq!(rebuilds(), 0, "the report alone changes nothing");
    w.update(&id, None, &[("token", json!("second"))]).await;
    w.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 1);
    let things = w.cloud.things();
    assert_eq!(things.keys().cloned().collect::<Vec<_>>(), before);
    let server = things.values().find(|t| t.kind == "server").unwrap();
    assert_eq!(server.user_data.as_deref(), Some("second"));
    // The same report again, as after a crash of its sender.
    w.unhealthy(&id, None, "server", "first").await;
    w.update(&id, None, &[("token", json!("second"))]).await;
    w.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 1);
    w.unhealthy(&id, None, "server", "second").await;
    w.update(&id, None, &[("token", json!("third"))]).await;
    w.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 2);
    assert!(
        w.db.query("SELECT * FROM stack_unhealthy", vec![])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_rebuild_that_fails_can_be_tried_again() {
    let w = Fixture::new().await;
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.ends(&id, Action::Create, Status::Complete).await;
    w.cloud.bad(Some("s"));
    w.unhealthy(&id, None, "server", "first").await;
    w.update(&id, None, &[]).await;
    let s = w.ends(&id, Action::Update, Status::Failed).await;
    assert!(
        s.status_reason.contains("No valid host"),
        "{}",
        s.status_reason
    );
    w.cloud.bad(None);
    w.unhealthy(&id, None, "server", "second").await;
    w.update(&id, None, &[]).await;
    w.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(w.cloud.count()["server"], 1);
    assert_eq!(
        w.cloud
            .log()
            .iter()
            .filter(|l| l.starts_with("create server"))
            .count(),
        1
    );
}

#[tokio::test]
async fn an_unhealthy_resource_that_cannot_be_rebuilt_is_replaced() {
    let w = Fixture::new().await;
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.ends(&id, Action::Create, Status::Complete).await;
    let network = || {
        let things = w.cloud.things();
        let mut ids = things.into_iter().filter(|(_, t)| t.kind == "network");
        ids.next().unwrap().0
    };
    let before = network();
    w.unhealthy(&id, None, "net", "first").await;
    w.update(&id, None, &[]).await;
    w.ends(&id, Action::Update, Status::Complete).await;
    assert_ne!(network(), before);
    assert_eq!(w.cloud.count()["network"], 1);
    let unknown = Unhealthy {
        name: "nobody".into(),
        incident: "x".into(),
        ..Unhealthy::default()
    };
    let e = w.stacks.mark_unhealthy(&w.ctx, &id, &[unknown], "").await;
    assert!(e.unwrap_err().is_not_found());
}

/// Rows of a newer release: left unchanged, and the deadline applies.
#[tokio::test]
async fn an_unknown_stored_value_of_a_newer_release_is_an_error() {
    for (column, word) in [
        ("action", "ADOPT"),
        ("status", "PAUSED"),
        ("resource_type", "OS::New::Thing"),
    ] {
        let w = Fixture::new().await;
        w.cloud.slow();
        let id = w.create(Fixture::new_stack(SMALL)).await.id;
        w.ends(&id, Action::Create, Status::InProgress).await;
        let set = format!("UPDATE resource SET {column} = '{word}' WHERE name = 'server'");
        w.sql(&set).await;
        w.update(&id, None, &[]).await;
        let s = w.ends(&id, Action::Update, Status::InProgress).await;
        let why = format!("'{word}' was written by a newer version of Jeroboam.");
        assert!(s.status_reason.contains(&why), "{}", s.status_reason);
        w.sql("UPDATE stack SET deadline_at = 1").await;
        w.poke(&id).await;
        let s = w.ends(&id, Action::Update, Status::Failed).await;
        assert!(
            s.status_reason
                .starts_with("Timed out after 60 minutes: The resources"),
            "{}",
            s.status_reason
        );
        let rows =
            w.db.query("SELECT * FROM resource WHERE name = 'server'", vec![])
                .await
                .unwrap();
        assert_eq!(rows[0].text(column).unwrap(), word, "the row is left alone");
        // A delete must not drop unreadable rows.
        w.delete(&id).await;
        w.ends(&id, Action::Delete, Status::InProgress).await;
        assert_eq!(w.cloud.count()["server"], 1);
    }
}

#[tokio::test]
async fn a_stack_of_a_newer_release_is_left_alone() {
    let w = Fixture::new().await;
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.sql("UPDATE stack SET status = 'PAUSED'").await;
    let e = w.stacks.show(&w.ctx, &id).await.unwrap_err();
    assert!(e.message.contains("newer version"), "{e}");
    let lease = std::time::Duration::from_secs(5);
    let leases = db::claim_for(&w.db, &["stack"], "me", 1, lease).await;
    let ran = w.engine.run(&leases.unwrap()[0]).await.map(|_| ());
    assert!(ran.unwrap_err().message.contains("newer version"));
    assert!(w.cloud.things().is_empty());
}

#[tokio::test]
async fn a_template_that_this_release_rejects_meets_its_deadline_and_can_be_deleted() {
    let w = Fixture::new().await;
    w.cloud.slow();
    let id = w.create(Fixture::new_stack(SMALL)).await.id;
    w.ends(&id, Action::Create, Status::InProgress).await;
    w.update(&id, None, &[]).await;
    w.sql("UPDATE stack SET template = 'heat_template_version: 2099-01-01'")
        .await;
    let s = w.ends(&id, Action::Update, Status::InProgress).await;
    assert!(
        s.status_reason
            .starts_with("This release rejects the template"),
        "{}",
        s.status_reason
    );
    w.sql("UPDATE stack SET deadline_at = 1").await;
    w.poke(&id).await;
    let s = w.ends(&id, Action::Update, Status::Failed).await;
    assert!(
        s.status_reason
            .starts_with("Timed out after 60 minutes: This release"),
        "{}",
        s.status_reason
    );
    w.delete(&id).await;
    w.settle().await;
    assert!(w.show(&id).await.is_none());
    assert!(w.cloud.things().is_empty());
}
