//! The process stops at every service call, before and after its effect, and at every
//! await of a run. After a restart it reaches the same result without duplicates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod fixture;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::task::Poll;

use fixture::{Fixture, parameters};
use orchestration::StackId;
use orchestration::api::{Action, NewStack, Status};
use serde_json::json;

fn small() -> NewStack {
    NewStack {
        parameters: parameters(&[
            ("count", json!(2)),
            ("worker_tokens", json!({"0": "a", "1": "b", "2": "c"})),
        ]),
        ..Fixture::new_stack(include_str!("cluster.yaml"))
    }
}

fn expected(servers: usize) -> HashMap<&'static str, usize> {
    HashMap::from([
        ("network", 1),
        ("subnet", 1),
        ("router", 1),
        ("interface", 1),
        ("secgroup", 1),
        ("port", 1),
        ("server", servers),
    ])
}

/// Asserts that each creation in the log is of a different object.
fn assert_no_duplicates(fixture: &Fixture, at: &str) {
    let created: Vec<String> = fixture
        .cloud
        .log()
        .into_iter()
        .filter(|l| l.starts_with("create"))
        .collect();
    let different: BTreeSet<&String> = created.iter().collect();
    assert_eq!(created.len(), different.len(), "{at}: {created:?}");
}

#[derive(Clone, Copy, PartialEq)]
enum During {
    Create,
    Grow,
    Heal,
    Delete,
}

async fn run_lifecycle(during: During, arm: impl Fn(&Fixture)) -> (Fixture, bool) {
    let fixture = Fixture::new().await;
    let id = fixture.create(small()).await.id;
    if during == During::Create {
        arm(&fixture);
    }
    fixture.ends(&id, Action::Create, Status::Complete).await;
    assert_eq!(fixture.cloud.count(), expected(3));
    fixture.update(&id, None, &[("count", json!(3))]).await;
    if during == During::Grow {
        arm(&fixture);
    }
    let s = fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(
        s.outputs["worker_names"],
        json!(["worker-0", "worker-1", "worker-2"])
    );
    assert_eq!(fixture.cloud.count(), expected(4));
    if during == During::Heal {
        arm(&fixture);
        heal(&fixture, &id).await;
    }
    fixture.delete(&id).await;
    if during == During::Delete {
        arm(&fixture);
    }
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none(), "the stack is gone");
    assert!(
        fixture.cloud.objects().is_empty(),
        "{:?}",
        fixture.cloud.objects()
    );
    let left = fixture
        .db
        .query("SELECT id FROM resource", vec![])
        .await
        .expect("query");
    assert!(left.is_empty());
    let fired = !fixture.cloud.armed();
    (fixture, fired)
}

/// A lost worker is rebuilt in place with its new token.
async fn heal(fixture: &Fixture, id: &StackId) {
    let before = fixture.cloud.objects();
    fixture.cloud.fail("worker-1");
    fixture.unhealthy(id, Some("workers"), "1", "first").await;
    let tokens = json!({"0": "a", "1": "fresh", "2": "c"});
    fixture.update(id, None, &[("worker_tokens", tokens)]).await;
    fixture.ends(id, Action::Update, Status::Complete).await;
    let after = fixture.cloud.objects();
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "the objects are the same"
    );
    let worker = after.values().find(|t| t.name == "worker-1").unwrap();
    assert_eq!(worker.status, compute::api::ServerStatus::Active);
    assert!(worker.user_data.as_deref().unwrap().contains("token=fresh"));
    let rebuilds = fixture.cloud.log();
    let rebuilds = rebuilds.iter().filter(|l| l.starts_with("rebuild")).count();
    assert_eq!(rebuilds, 1, "a stop does not cause a second rebuild");
}

#[expect(
    clippy::print_stdout,
    reason = "the number of stops is shown with --nocapture"
)]
async fn at_every_call(during: During) {
    for after in [false, true] {
        let mut stops = 0;
        for call in 1.. {
            let (fixture, fired) =
                run_lifecycle(during, |fixture| fixture.cloud.crash_at(call, after)).await;
            assert_no_duplicates(&fixture, &format!("call {call}, after {after}"));
            if !fired {
                break;
            }
            stops += 1;
        }
        println!("{stops} stops, after the effect: {after}");
        assert!(
            stops
                >= match during {
                    During::Grow | During::Heal => 2,
                    During::Create | During::Delete => 9,
                },
            "only {stops} calls"
        );
    }
}

#[tokio::test]
async fn a_stop_at_any_call_while_creating() {
    at_every_call(During::Create).await;
}

#[tokio::test]
async fn a_stop_at_any_call_while_growing() {
    at_every_call(During::Grow).await;
}

#[tokio::test]
async fn a_stop_at_any_call_while_healing() {
    at_every_call(During::Heal).await;
}

#[tokio::test]
async fn a_stop_at_any_call_while_deleting() {
    at_every_call(During::Delete).await;
}

/// Polls a future a number of times, then drops it.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// A run of the engine stops after a number of polls, repeatedly, also within
/// transactions.
#[tokio::test]
async fn a_stop_at_any_await_makes_no_difference() {
    for polls in 1..40_usize {
        let fixture = Fixture::new().await;
        let id = fixture.create(small()).await.id;
        for aim in [Action::Create, Action::Delete] {
            for round in 0..3 {
                let lease = std::time::Duration::from_secs(5);
                let claim = db::claim_for(&fixture.db, &["stack"], "me", 1, lease)
                    .await
                    .expect("claim");
                let Some(lease) = claim.into_iter().next() else {
                    break;
                };
                let ran = dropped_after(polls + round, fixture.engine.run(&lease)).await;
                assert!(
                    !matches!(ran, Some(Err(_))),
                    "{:?}",
                    ran.map(|r| r.map(|_| ()))
                );
                db::release_all(&fixture.db).await.expect("release");
            }
            fixture.settle().await;
            if aim == Action::Create {
                let s = fixture.show(&id).await.expect("it exists");
                assert_eq!(
                    (s.action, s.status),
                    (aim, Status::Complete),
                    "{polls}: {}",
                    s.status_reason
                );
                assert_eq!(fixture.cloud.count(), expected(3), "{polls}");
                assert_no_duplicates(&fixture, &format!("{polls} polls"));
                fixture.delete(&id).await;
            }
        }
        assert!(fixture.show(&id).await.is_none(), "{polls}");
        assert!(
            fixture.cloud.objects().is_empty(),
            "{polls}: {:?}",
            fixture.cloud.objects()
        );
    }
}
