//! The process stops at every service call, before and after its effect, and at
//! every await of a run: after a restart it reaches the same result without
//! duplicates.

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

/// No object was created twice: each creation in the log is of a different
/// object.
fn nothing_doubled(w: &Fixture, at: &str) {
    let created: Vec<String> = w
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
    let w = Fixture::new().await;
    let id = w.create(small()).await.id;
    if during == During::Create {
        arm(&w);
    }
    w.ends(&id, Action::Create, Status::Complete).await;
    assert_eq!(w.cloud.count(), expected(3));
    w.update(&id, None, &[("count", json!(3))]).await;
    if during == During::Grow {
        arm(&w);
    }
    let s = w.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(
        s.outputs["worker_names"],
        json!(["worker-0", "worker-1", "worker-2"])
    );
    assert_eq!(w.cloud.count(), expected(4));
    if during == During::Heal {
        arm(&w);
        heal(&w, &id).await;
    }
    w.delete(&id).await;
    if during == During::Delete {
        arm(&w);
    }
    w.settle().await;
    assert!(w.show(&id).await.is_none(), "the stack is gone");
    assert!(w.cloud.things().is_empty(), "{:?}", w.cloud.things());
    let left =
        w.db.query("SELECT id FROM resource", vec![])
            .await
            .expect("query");
    assert!(left.is_empty());
    let fired = !w.cloud.armed();
    (w, fired)
}

/// A lost worker is rebuilt in place with its new token.
async fn heal(w: &Fixture, id: &StackId) {
    let before = w.cloud.things();
    w.cloud.fail("worker-1");
    w.unhealthy(id, Some("workers"), "1", "first").await;
    let tokens = json!({"0": "a", "1": "fresh", "2": "c"});
    w.update(id, None, &[("worker_tokens", tokens)]).await;
    w.ends(id, Action::Update, Status::Complete).await;
    let after = w.cloud.things();
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "the very same things"
    );
    let worker = after.values().find(|t| t.name == "worker-1").unwrap();
    assert_eq!(worker.status, compute::api::ServerStatus::Active);
    assert!(worker.user_data.as_deref().unwrap().contains("token=fresh"));
    let rebuilds = w.cloud.log();
    let rebuilds = rebuilds.iter().filter(|l| l.starts_with("rebuild")).count();
    assert_eq!(rebuilds, 1, "not even once more after a stop");
}

#[expect(
    clippy::print_stdout,
    reason = "the number of stops is shown with --nocapture"
)]
async fn at_every_call(during: During) {
    for after in [false, true] {
        let mut stops = 0;
        for call in 1.. {
            let (w, fired) = run_lifecycle(during, |w| w.cloud.crash_at(call, after)).await;
            nothing_doubled(&w, &format!("call {call}, after {after}"));
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
        let w = Fixture::new().await;
        let id = w.create(small()).await.id;
        for aim in [Action::Create, Action::Delete] {
            for round in 0..3 {
                let lease = std::time::Duration::from_secs(5);
                let claim = db::claim_for(&w.db, &["stack"], "me", 1, lease)
                    .await
                    .expect("claim");
                let Some(lease) = claim.into_iter().next() else {
                    break;
                };
                let ran = dropped_after(polls + round, w.engine.run(&lease)).await;
                assert!(
                    !matches!(ran, Some(Err(_))),
                    "{:?}",
                    ran.map(|r| r.map(|_| ()))
                );
                db::release_all(&w.db).await.expect("release");
            }
            w.settle().await;
            if aim == Action::Create {
                let s = w.show(&id).await.expect("it exists");
                assert_eq!(
                    (s.action, s.status),
                    (aim, Status::Complete),
                    "{polls}: {}",
                    s.status_reason
                );
                assert_eq!(w.cloud.count(), expected(3), "{polls}");
                nothing_doubled(&w, &format!("{polls} polls"));
                w.delete(&id).await;
            }
        }
        assert!(w.show(&id).await.is_none(), "{polls}");
        assert!(
            w.cloud.things().is_empty(),
            "{polls}: {:?}",
            w.cloud.things()
        );
    }
}
