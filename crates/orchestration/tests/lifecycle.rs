//! Scenarios of stacks with in-memory services and a real file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod fixture;

use std::time::{Duration, Instant};

use fixture::{Fixture, parameters};
use orchestration::StackId;
use orchestration::api::{Action, NewStack, Signal, Status};
use serde_json::{Value, json};

const CLUSTER: &str = include_str!("cluster.yaml");

fn tokens(n: usize) -> Value {
    (0..n)
        .map(|i| (i.to_string(), json!(format!("tok{i}"))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn cluster(count: usize, signals: usize) -> NewStack {
    NewStack {
        parameters: parameters(&[
            ("count", json!(count)),
            ("signals", json!(signals)),
            ("worker_tokens", tokens(10)),
        ]),
        ..Fixture::new_stack(CLUSTER)
    }
}

fn signal_of(id: &str, status: &str, reason: &str) -> Signal {
    Signal {
        id: id.into(),
        status: status.into(),
        reason: reason.into(),
        data: json!({"n": id}),
    }
}

async fn built(fixture: &Fixture, count: usize) -> StackId {
    let id = fixture.create(cluster(count, 0)).await.id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    id
}

#[tokio::test]
async fn a_cluster_is_created_and_deleted_without_leftovers() {
    let fixture = Fixture::new().await;
    let new = cluster(2, 0);
    let id = fixture.create(new.clone()).await.id;
    let began = Instant::now();
    let s = fixture.ends(&id, Action::Create, Status::Complete).await;
    println!("created in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(s.status_reason, "Stack CREATE completed successfully");
    assert_eq!(s.outputs["worker_names"], json!(["worker-0", "worker-1"]));
    assert_eq!(s.outputs["one"], "worker-1");
    assert_eq!(s.outputs["data"], "{}");
    assert_eq!(s.outputs["refs"].as_array().unwrap().len(), 2);
    let objects = fixture.cloud.objects();
    let data = objects
        .values()
        .find(|t| t.name == "worker-1")
        .unwrap()
        .user_data
        .clone()
        .unwrap();
    assert!(
        data.starts_with("token=tok1 gateway=10.0.0.1 manager=10.0.0."),
        "{data}"
    );
    // A repeated create finds the existing stack.
    assert_eq!(fixture.create(new).await.generation, 1);
    let before = fixture.owner_marks().await;
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
    assert!(
        fixture.cloud.objects().is_empty(),
        "{:?}",
        fixture.cloud.objects()
    );
    assert_eq!(
        fixture.owner_marks().await,
        before + 2,
        "marked at acceptance and at deletion"
    );
    for table in [
        "stack",
        "resource",
        "stack_event",
        "stack_signal",
        "flow_key WHERE kind = 'stack'",
    ] {
        let left = fixture
            .db
            .query(&format!("SELECT * FROM {table}"), vec![])
            .await
            .unwrap();
        assert!(left.is_empty(), "{table}");
    }
}

#[tokio::test]
async fn members_are_built_in_parallel() {
    let fixture = Fixture::new().await;
    fixture.cloud.slow();
    let id = fixture.create(cluster(5, 0)).await.id;
    fixture.settle().await;
    assert_eq!(fixture.cloud.building(), 6, "five workers and the manager");
    let s = fixture.show(&id).await.unwrap();
    assert!(
        s.status_reason.starts_with("Waiting for resources."),
        "{}",
        s.status_reason
    );
    fixture.cloud.finish().await;
    fixture.ends(&id, Action::Create, Status::Complete).await;
}

#[tokio::test]
async fn a_failing_server_fails_the_stack_with_its_fault() {
    let fixture = Fixture::new().await;
    fixture.cloud.set_failing(Some("worker-1"));
    let id = fixture.create(cluster(2, 1)).await.id;
    let s = fixture.ends(&id, Action::Create, Status::Failed).await;
    assert_eq!(
        s.status_reason,
        "Resource CREATE failed: ResourceInError: resources.workers.resources.1: Went to status ERROR due to \
         \"Message: No valid host was found., Code: 500\""
    );
    let open = fixture
        .resources(&id)
        .await
        .iter()
        .filter(|r| r.status == Status::InProgress)
        .count();
    assert_eq!(open, 0, "nothing stays in progress");
    // The next update repairs it: the failed member is replaced.
    fixture.cloud.set_failing(None);
    fixture.update(&id, None, &[("signals", json!(0))]).await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(fixture.cloud.count()["server"], 3);
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.cloud.objects().is_empty());
}

#[tokio::test]
async fn a_create_that_fails_rolls_back_to_nothing() {
    let fixture = Fixture::new().await;
    fixture.cloud.set_failing(Some("worker-0"));
    let new = NewStack {
        disable_rollback: false,
        ..cluster(2, 0)
    };
    let id = fixture.create(new).await.id;
    let s = fixture.ends(&id, Action::Rollback, Status::Complete).await;
    assert!(
        s.status_reason
            .starts_with("Resource CREATE failed: ResourceInError: resources.workers."),
        "{}",
        s.status_reason
    );
    assert!(fixture.cloud.objects().is_empty());
    assert!(fixture.resources(&id).await.is_empty());
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
}

#[tokio::test]
async fn a_group_grows_and_shrinks_and_never_reuses_a_removed_index() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 2).await;
    let first = fixture.cloud.objects();
    let s = fixture.update(&id, None, &[("count", json!(4))]).await;
    assert_eq!(s.generation, 2);
    let s = fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(
        s.outputs["worker_names"],
        json!(["worker-0", "worker-1", "worker-2", "worker-3"])
    );
    for old in first.keys() {
        assert!(
            fixture.cloud.objects().contains_key(old),
            "existing members stay"
        );
    }
    // A member is given by its physical id, its name or its index.
    let member = fixture
        .resources(&id)
        .await
        .into_iter()
        .find(|r| r.parent.is_some() && r.name == "1")
        .unwrap();
    let removed = json!([member.physical_id.unwrap(), "worker-2"]);
    fixture
        .update(&id, None, &[("count", json!(3)), ("gone", removed)])
        .await;
    let s = fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(
        s.outputs["worker_names"],
        json!(["worker-0", "worker-3", "worker-4"])
    );
    // The same list again, and a smaller count: the highest index is removed.
    fixture
        .update(&id, None, &[("count", json!(2)), ("gone", json!("0"))])
        .await;
    let s = fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(s.outputs["worker_names"], json!(["worker-3", "worker-4"]));
    assert_eq!(fixture.cloud.count()["server"], 3);
}

#[tokio::test]
async fn an_update_without_a_change_touches_nothing() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 2).await;
    let before = fixture.cloud.log();
    fixture.update(&id, Some(CLUSTER), &[]).await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    assert_eq!(fixture.cloud.log(), before);
}

#[tokio::test]
async fn a_replacement_is_created_before_the_old_one_is_deleted() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 1).await;
    let n = fixture.cloud.log().len();
    fixture
        .update(&id, None, &[("image", json!("other"))])
        .await;
    fixture.ends(&id, Action::Update, Status::Complete).await;
    let log = &fixture.cloud.log()[n..];
    let last_create = log.iter().rposition(|l| l.starts_with("create")).unwrap();
    let first_delete = log.iter().position(|l| l.starts_with("delete")).unwrap();
    assert!(last_create < first_delete, "{log:?}");
    assert_eq!(log.len(), 4);
    assert_eq!(fixture.cloud.count()["server"], 2);
}

#[tokio::test]
async fn a_failed_update_rolls_back_to_the_last_good_state() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 2).await;
    let before: Vec<String> = fixture.cloud.objects().into_keys().collect();
    fixture.cloud.set_failing(Some("worker-2"));
    fixture
        .try_update(
            &id,
            None,
            &[("count", json!(3)), ("image", json!("broken"))],
            false,
        )
        .await
        .unwrap();
    let s = fixture.ends(&id, Action::Rollback, Status::Complete).await;
    assert!(
        s.status_reason
            .contains("resources.workers.resources.2: Went to status ERROR"),
        "{}",
        s.status_reason
    );
    let after: Vec<String> = fixture.cloud.objects().into_keys().collect();
    assert_eq!(after, before, "the objects are the same");
    assert_eq!(s.outputs["worker_names"], json!(["worker-0", "worker-1"]));
}

#[tokio::test]
async fn signals_complete_a_wait_condition_and_an_update_waits_for_more() {
    let fixture = Fixture::new().await;
    let id = fixture.create(cluster(1, 2)).await.id;
    fixture.ends(&id, Action::Create, Status::InProgress).await;
    for (n, again) in [("0", "0"), ("1", "1")] {
        fixture
            .stacks
            .signal(
                &fixture.ctx,
                &id,
                "handle",
                signal_of(n, "SUCCESS", "joined"),
            )
            .await
            .unwrap();
        fixture
            .stacks
            .signal(
                &fixture.ctx,
                &id,
                "handle",
                signal_of(again, "SUCCESS", "joined"),
            )
            .await
            .unwrap();
        fixture.settle().await;
    }
    let s = fixture.ends(&id, Action::Create, Status::Complete).await;
    assert_eq!(
        s.outputs["data"],
        "{\"0\": {\"n\": \"0\"}, \"1\": {\"n\": \"1\"}}"
    );
    fixture
        .update(&id, None, &[("signals", json!(3)), ("count", json!(2))])
        .await;
    let s = fixture.ends(&id, Action::Update, Status::InProgress).await;
    assert_eq!(
        s.status_reason,
        "Waiting for resources.wait (OS::Heat::WaitCondition): 2 of 3 received"
    );
    fixture
        .stacks
        .signal(
            &fixture.ctx,
            &id,
            "handle",
            signal_of("2", "FAILURE", "join: no route to manager"),
        )
        .await
        .unwrap();
    let s = fixture.ends(&id, Action::Update, Status::Failed).await;
    assert_eq!(
        s.status_reason,
        "Resource UPDATE failed: WaitConditionFailure: resources.wait: join: no route to manager"
    );
    // In another attempt the previous failure does not count any more.
    fixture.update(&id, None, &[]).await;
    fixture.ends(&id, Action::Update, Status::InProgress).await;
    fixture
        .stacks
        .signal(
            &fixture.ctx,
            &id,
            "handle",
            signal_of("2", "SUCCESS", "joined"),
        )
        .await
        .unwrap();
    fixture.ends(&id, Action::Update, Status::Complete).await;
}

#[tokio::test]
async fn a_delete_cancels_a_create_and_can_be_repeated() {
    let fixture = Fixture::new().await;
    fixture.cloud.slow();
    let id = fixture.create(cluster(3, 1)).await.id;
    fixture.settle().await;
    fixture.delete(&id).await;
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
    assert!(fixture.cloud.objects().is_empty());
}

#[tokio::test]
async fn a_delete_continues_past_errors_and_can_be_repeated() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 2).await;
    fixture.cloud.undeletable(Some("router"));
    fixture.delete(&id).await;
    let s = fixture.ends(&id, Action::Delete, Status::Failed).await;
    assert_eq!(
        s.status_reason,
        "Resource DELETE failed: Forbidden: resources.router: this one stays"
    );
    assert_eq!(
        fixture.cloud.count().into_keys().collect::<Vec<_>>(),
        ["router"],
        "everything else is deleted"
    );
    fixture.cloud.undeletable(None);
    fixture.delete(&id).await;
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
    assert!(fixture.cloud.objects().is_empty());
}

#[tokio::test]
async fn a_deadline_says_what_was_waited_for() {
    let fixture = Fixture::new().await;
    let id = fixture.create(cluster(1, 1)).await.id;
    fixture.settle().await;
    let mut tx = fixture.db.begin().await.unwrap();
    tx.execute("UPDATE stack SET deadline_at = 1", vec![])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    fixture.mark_due(&id).await;
    let s = fixture.ends(&id, Action::Create, Status::Failed).await;
    assert_eq!(
        s.status_reason,
        "Timed out after 60 minutes: Waiting for resources.wait (OS::Heat::WaitCondition): 0 of 1 received"
    );
}

#[tokio::test]
async fn all_errors_of_a_template_are_reported_at_once() {
    let fixture = Fixture::new().await;
    let template = "heat_template_version: 2021-04-16\nresources:\n  net:\n    type: OS::Neutron::Net\n    properties:\n      foo: 1\n  a:\n    type: OS::Nova::Server\n    properties:\n      image: {get_attr: [net, nothing]}\n      networks: {get_resource: nobody}\n  b:\n    type: OS::No::Such\n  c:\n    type: OS::Neutron::Subnet\n    properties: {network: {get_resource: d}, cidr: bad}\n  d:\n    type: OS::Heat::Value\n    properties: {value: {get_resource: c}}\n";
    let e = fixture
        .stacks
        .create(&fixture.ctx, Fixture::new_stack(template))
        .await
        .unwrap_err();
    let lines: Vec<&str> = e.message.lines().collect();
    for expected in [
        "resources.net.properties.foo: line 6: Unknown Property foo",
        "The Referenced Attribute (net nothing) is incorrect; known are: name, status, subnets.",
        "The specified reference \"nobody\"",
        "Property flavor not assigned",
        "The Resource Type (OS::No::Such) could not be found.",
        "is not a network",
        "Circular Dependency Found: ",
    ] {
        assert!(
            lines.iter().any(|l| l.contains(expected)),
            "{expected}: {lines:#?}"
        );
    }
    assert!(
        fixture
            .db
            .query("SELECT * FROM stack", vec![])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn another_project_sees_nothing() {
    let fixture = Fixture::new().await;
    let id = built(&fixture, 1).await;
    let mut other = kernel::Ctx::for_project("req-x", "p2");
    other.roles = vec!["member".into()];
    assert!(
        fixture
            .stacks
            .show(&other, &id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        fixture
            .stacks
            .delete(&other, &id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        fixture
            .stacks
            .signal(&other, &id, "handle", signal_of("0", "SUCCESS", ""))
            .await
            .unwrap_err()
            .is_not_found()
    );
    let events = fixture.stacks.events(&fixture.ctx, &id, 5).await.unwrap();
    assert_eq!(events.len(), 5);
    assert_eq!(
        (events[0].action, events[0].status),
        (Action::Create, Status::Complete)
    );
}
