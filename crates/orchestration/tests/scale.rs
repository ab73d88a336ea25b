//! Large stacks: the work of the engine grows linearly with the size of the
//! stack. Counts only, never times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;

use std::fmt::Write as _;

use fixture::{Fixture, parameters};
use orchestration::api::{Action, NewStack, Status};
use serde_json::json;

fn independent(count: usize) -> String {
    let mut text = "heat_template_version: 2021-04-16\nresources:\n".to_owned();
    for i in 0..count {
        writeln!(text, "  r{i}: {{type: OS::Neutron::Net}}").unwrap();
    }
    text
}

const GROUP: &str = "heat_template_version: 2021-04-16
parameters: {count: {type: number}}
resources:
  net: {type: OS::Neutron::Net}
  handle: {type: OS::Heat::WaitConditionHandle}
  all:
    type: OS::Heat::ResourceGroup
    properties:
      count: {get_param: count}
      resource_def:
        type: OS::Nova::Server
        properties: {name: w-%index%, image: i, flavor: f, networks: [{network: {get_resource: net}}]}
outputs:
  names: {value: {get_attr: [all, name]}}
";

/// Statements of the create, an update without a change, and the delete.
async fn statements(new: NewStack, things: usize) -> [u64; 3] {
    let fixture = Fixture::new().await;
    let id = fixture.create(new).await.id;
    let start = fixture.db.queries();
    fixture.ends(&id, Action::Create, Status::Complete).await;
    let created = fixture.db.queries();
    assert_eq!(fixture.cloud.objects().len(), things);
    fixture.update(&id, None, &[]).await;
    let accepted = fixture.db.queries();
    fixture.ends(&id, Action::Update, Status::Complete).await;
    let updated = fixture.db.queries();
    fixture.delete(&id).await;
    let began = fixture.db.queries();
    fixture.settle().await;
    assert!(fixture.show(&id).await.is_none());
    assert!(fixture.cloud.objects().is_empty());
    [
        created - start,
        updated - accepted,
        fixture.db.queries() - began,
    ]
}

#[tokio::test]
async fn ten_times_the_resources_take_ten_times_the_statements() {
    let small = statements(Fixture::new_stack(&independent(1000)), 1000).await;
    let large = statements(Fixture::new_stack(&independent(10_000)), 10_000).await;
    println!("{small:?} {large:?}");
    for (small, large) in small.into_iter().zip(large) {
        assert!(small <= 1000, "{small}");
        assert!(large <= 12 * small, "{small} {large}");
    }
    assert!(small[1] <= 40, "an update without a change writes nothing");
    assert!(large[1] <= 40, "an update without a change writes nothing");
}

#[tokio::test]
async fn a_group_takes_as_many_statements_as_it_has_members() {
    let group = |count: usize| NewStack {
        parameters: parameters(&[("count", json!(count))]),
        ..Fixture::new_stack(GROUP)
    };
    let small = statements(group(100), 101).await;
    let large = statements(group(1000), 1001).await;
    println!("{small:?} {large:?}");
    // The number includes the mark of the owner for each server that becomes active.
    for (small, large) in small.into_iter().zip(large) {
        assert!(large <= 12 * small, "{small} {large}");
    }
}

#[tokio::test]
async fn events_of_a_large_stack_are_bounded() {
    let fixture = Fixture::new().await;
    let id = fixture
        .create(Fixture::new_stack(&independent(1500)))
        .await
        .id;
    fixture.ends(&id, Action::Create, Status::Complete).await;
    let rows = fixture
        .db
        .query("SELECT id FROM stack_event", vec![])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1000);
    let last = fixture
        .stacks
        .events(&fixture.ctx, &id, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (last.resource.as_str(), last.status),
        ("s1", Status::Complete)
    );
}

/// Waiting resources are checked when the stack is marked; completed ones are
/// not loaded, parsed or unsealed again.
#[tokio::test]
async fn a_wake_costs_as_much_as_it_changes() {
    let fixture = Fixture::new().await;
    let text = format!(
        "{}  handle: {{type: OS::Heat::WaitConditionHandle}}\n  wait: {{type: OS::Heat::WaitCondition, properties: {{handle: {{get_resource: handle}}, count: 100, timeout: 600}}}}\n",
        independent(500)
    );
    let id = fixture.create(Fixture::new_stack(&text)).await.id;
    fixture.ends(&id, Action::Create, Status::InProgress).await;
    let calls = fixture.cloud.total_calls();
    let mut costs = Vec::new();
    for i in 0..20 {
        let signal = orchestration::api::Signal {
            id: i.to_string(),
            status: "SUCCESS".into(),
            reason: String::new(),
            data: json!({}),
        };
        fixture
            .stacks
            .signal(&fixture.ctx, &id, "handle", signal)
            .await
            .unwrap();
        let before = fixture.db.queries();
        fixture.settle().await;
        costs.push(fixture.db.queries() - before);
    }
    assert!(costs.iter().all(|c| *c <= 16), "{costs:?}");
    assert_eq!(
        fixture.cloud.total_calls(),
        calls,
        "the services are not called again"
    );
}

#[tokio::test]
async fn servers_in_build_are_listed_and_not_queried_one_by_one() {
    let fixture = Fixture::new().await;
    fixture.cloud.slow();
    let new = NewStack {
        parameters: parameters(&[("count", json!(200))]),
        ..Fixture::new_stack(GROUP)
    };
    let id = fixture.create(new).await.id;
    fixture.ends(&id, Action::Create, Status::InProgress).await;
    for i in 0..100 {
        let before = fixture.cloud.total_calls();
        fixture.cloud.finish_one(&format!("w-{i}")).await;
        fixture.settle().await;
        assert_eq!(
            fixture.cloud.total_calls() - before,
            2,
            "one listing, one query"
        );
    }
    fixture.cloud.finish().await;
    fixture.ends(&id, Action::Create, Status::Complete).await;
}
