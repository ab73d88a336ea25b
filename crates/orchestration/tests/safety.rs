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
    let fixture = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let s = fixture
        .stacks
        .create(&caller(1), new.clone())
        .await
        .unwrap();
    fixture.ends(&s.id, Action::Create, Status::Complete).await;
    fixture.stacks.delete(&caller(2), &s.id).await.unwrap();
    fixture.settle().await;
    assert!(fixture.show(&s.id).await.is_none());
    for generation in [1, 2, 3] {
        let late = fixture
            .stacks
            .create(&caller(generation), new.clone())
            .await;
        assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    }
    assert!(fixture.cloud.objects().is_empty());
}

#[tokio::test]
async fn a_removal_before_its_delayed_creation() {
    let fixture = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let gone = fixture.stacks.delete(&caller(2), &new.id).await;
    assert!(gone.unwrap_err().is_not_found());
    let late = fixture.stacks.create(&caller(1), new.clone()).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    // A user who passes an unused id does not block it.
    let other = Fixture::new_stack(SMALL);
    let gone = fixture.stacks.delete(&fixture.ctx, &other.id).await;
    assert!(gone.unwrap_err().is_not_found());
    fixture.stacks.create(&caller(1), other).await.unwrap();
}

#[tokio::test]
async fn a_delayed_update_or_delete_does_not_undo_a_newer_update() {
    let fixture = Fixture::new().await;
    let s = fixture
        .stacks
        .create(&caller(1), Fixture::new_stack(SMALL))
        .await
        .unwrap();
    fixture.ends(&s.id, Action::Create, Status::Complete).await;
    let update = |token: &str| StackUpdate {
        parameters: fixture::parameters(&[("token", json!(token))]),
        disable_rollback: true,
        ..StackUpdate::default()
    };
    fixture
        .stacks
        .update(&caller(5), &s.id, update("new"))
        .await
        .unwrap();
    let late = fixture
        .stacks
        .update(&caller(4), &s.id, update("old"))
        .await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    let late = fixture.stacks.delete(&caller(4), &s.id).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    let lost = Unhealthy {
        name: "server".into(),
        incident: "x".into(),
        ..Unhealthy::default()
    };
    let late = fixture
        .stacks
        .mark_unhealthy(&caller(4), &s.id, &[lost], "")
        .await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    fixture.ends(&s.id, Action::Update, Status::Complete).await;
    let objects = fixture.cloud.objects();
    let server = objects.values().find(|t| t.kind == "server").unwrap();
    assert_eq!(server.user_data.as_deref(), Some("new"));
    // Repeating the newest call is allowed.
    fixture
        .stacks
        .update(&caller(5), &s.id, update("new"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_delayed_signal_does_not_overwrite_a_newer_one() {
    let fixture = Fixture::new().await;
    let s = fixture.create(Fixture::new_stack(SMALL)).await;
    fixture.ends(&s.id, Action::Create, Status::Complete).await;
    let send_signal = async |generation, status| {
        let ctx = caller(generation);
        fixture
            .stacks
            .signal(&ctx, &s.id, "handle", signal(status))
            .await
            .unwrap();
    };
    send_signal(7, "SUCCESS").await;
    send_signal(6, "FAILURE").await;
    fixture.update(&s.id, None, &[("signals", json!(1))]).await;
    let s = fixture.ends(&s.id, Action::Update, Status::Complete).await;
    assert_eq!(s.outputs["data"], "{\"n\": null}");
}

#[tokio::test]
async fn of_two_equal_creates_both_find_the_stack() {
    let fixture = Fixture::new().await;
    let new = Fixture::new_stack(SMALL);
    let create = || fixture.stacks.create(&fixture.ctx, new.clone());
    let (a, b, c) = tokio::join!(create(), create(), create());
    for s in [a, b, c] {
        assert_eq!(s.unwrap().id, new.id);
    }
    // The same name is used by another stack.
    let twin = Fixture::new_stack(SMALL);
    let e = fixture.stacks.create(&fixture.ctx, twin).await.unwrap_err();
    assert_eq!(e.kind, Kind::AlreadyExists);
}

#[tokio::test]
async fn calls_to_services_carry_the_epoch_of_the_lease() {
    let fixture = Fixture::new().await;
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    let seen = fixture.cloud.generations();
    assert!(
        !seen.is_empty() && seen.iter().all(|g| g.is_some_and(|g| g > 0)),
        "{seen:?}"
    );
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn an_unhealthy_server_is_rebuilt_once_per_incident() {
    let fixture = Fixture::new().await;
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    let before: Vec<String> = fixture.cloud.objects().into_keys().collect();
    let rebuilds = || {
        fixture
            .cloud
            .log()
            .iter()
            .filter(|l| l.starts_with("rebuild"))
            .count()
    };
    fixture.cloud.fail("s");
    fixture.unhealthy(&id, None, "server", "first").await;
    fixture.mark_due(&id).await;
    assert_eq!(rebuilds(), 0, "the report alone changes nothing");
    fixture
        .update(&id, None, &[("token", json!("second"))])
        .await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 1);
    let objects = fixture.cloud.objects();
    assert_eq!(objects.keys().cloned().collect::<Vec<_>>(), before);
    let server = objects.values().find(|t| t.kind == "server").unwrap();
    assert_eq!(server.user_data.as_deref(), Some("second"));
    // The same report again, as after a crash of its sender.
    fixture.unhealthy(&id, None, "server", "first").await;
    fixture
        .update(&id, None, &[("token", json!("second"))])
        .await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 1);
    fixture.unhealthy(&id, None, "server", "second").await;
    fixture
        .update(&id, None, &[("token", json!("third"))])
        .await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(rebuilds(), 2);
    assert!(
        fixture
            .db
            .query("SELECT * FROM stack_unhealthy", vec![])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_rebuild_that_fails_can_be_tried_again() {
    let fixture = Fixture::new().await;
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    fixture.cloud.set_failing(Some("s"));
    fixture.unhealthy(&id, None, "server", "first").await;
    fixture.update(&id, None, &[]).await;
    let s = fixture.ends(&id, Action::Update, Status::Failed).await;
    assert!(
        s.status_reason.contains("No valid host"),
        "{}",
        s.status_reason
    );
    fixture.cloud.set_failing(None);
    fixture.unhealthy(&id, None, "server", "second").await;
    fixture.update(&id, None, &[]).await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(fixture.cloud.count()["server"], 1);
    assert_eq!(
        fixture
            .cloud
            .log()
            .iter()
            .filter(|l| l.starts_with("create server"))
            .count(),
        1
    );
}

#[tokio::test]
async fn an_unhealthy_resource_that_cannot_be_rebuilt_is_replaced() {
    let fixture = Fixture::new().await;
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    let network = || {
        let objects = fixture.cloud.objects();
        let mut ids = objects.into_iter().filter(|(_, t)| t.kind == "network");
        ids.next().unwrap().0
    };
    let before = network();
    fixture.unhealthy(&id, None, "net", "first").await;
    fixture.update(&id, None, &[]).await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_ne!(network(), before);
    assert_eq!(fixture.cloud.count()["network"], 1);
    let unknown = Unhealthy {
        name: "nobody".into(),
        incident: "x".into(),
        ..Unhealthy::default()
    };
    let e = fixture
        .stacks
        .mark_unhealthy(&fixture.ctx, &id, &[unknown], "")
        .await;
    assert!(e.unwrap_err().is_not_found());
}

/// Rows of a newer release are left unchanged, and the deadline applies.
#[tokio::test]
async fn an_unknown_stored_value_of_a_newer_release_is_an_error() {
    for (column, word) in [
        ("action", "ADOPT"),
        ("status", "PAUSED"),
        ("resource_type", "OS::New::Thing"),
    ] {
        let fixture = Fixture::new().await;
        fixture.cloud.slow();
        let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
        fixture.ends(&id, Action::Create, Status::InProgress).await;
        let set = format!("UPDATE resource SET {column} = '{word}' WHERE name = 'server'");
        fixture.sql(&set).await;
        fixture.update(&id, None, &[]).await;
        let s = fixture.ends(&id, Action::Update, Status::InProgress).await;
        let why = format!("'{word}' was written by a newer version of Jeroboam.");
        assert!(s.status_reason.contains(&why), "{}", s.status_reason);
        fixture.sql("UPDATE stack SET deadline_at = 1").await;
        fixture.mark_due(&id).await;
        let s = fixture.ends(&id, Action::Update, Status::Failed).await;
        assert!(
            s.status_reason
                .starts_with("Timed out after 60 minutes: The resources"),
            "{}",
            s.status_reason
        );
        let rows = fixture
            .db
            .query("SELECT * FROM resource WHERE name = 'server'", vec![])
            .await
            .unwrap();
        assert_eq!(rows[0].text(column).unwrap(), word, "the row is left alone");
        // A delete must not drop unreadable rows.
        fixture.delete(&id).await;
        fixture.ends(&id, Action::Delete, Status::InProgress).await;
        assert_eq!(fixture.cloud.count()["server"], 1);
    }
}

#[tokio::test]
async fn a_stack_of_a_newer_release_is_left_alone() {
    let fixture = Fixture::new().await;
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.sql("UPDATE stack SET status = 'PAUSED'").await;
    let e = fixture.stacks.show(&fixture.ctx, &id).await.unwrap_err();
    assert!(e.message.contains("newer version"), "{e}");
    let lease = std::time::Duration::from_secs(5);
    let leases = db::claim_for(&fixture.db, &["stack"], "me", 1, lease).await;
    let ran = fixture.engine.run(&leases.unwrap()[0]).await.map(|_| ());
    assert!(ran.unwrap_err().message.contains("newer version"));
    assert!(fixture.cloud.objects().is_empty());
}

#[tokio::test]
async fn a_template_that_this_release_rejects_meets_its_deadline_and_can_be_deleted() {
    let fixture = Fixture::new().await;
    fixture.cloud.slow();
    let id = fixture.create(Fixture::new_stack(SMALL)).await.id;
    fixture.ends(&id, Action::Create, Status::InProgress).await;
    fixture.update(&id, None, &[]).await;
    fixture
        .sql("UPDATE stack SET template = 'heat_template_version: 2099-01-01'")
        .await;
    let s = fixture.ends(&id, Action::Update, Status::InProgress).await;
    assert!(
        s.status_reason
            .starts_with("This release rejects the template"),
        "{}",
        s.status_reason
    );
    fixture.sql("UPDATE stack SET deadline_at = 1").await;
    fixture.mark_due(&id).await;
    let s = fixture.ends(&id, Action::Update, Status::Failed).await;
    assert!(
        s.status_reason
            .starts_with("Timed out after 60 minutes: This release"),
        "{}",
        s.status_reason
    );
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
    assert!(fixture.cloud.objects().is_empty());
}
