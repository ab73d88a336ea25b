//! The same scenario on every database: batches, signals, reports, generations,
//! pruning.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{Fixture, PROJECT, parameters};
use kernel::{Ctx, Kind};
use orchestration::api::{Action, NewStack, Signal, Status};
use serde_json::json;

const TEMPLATE: &str = "heat_template_version: 2021-04-16
parameters: {count: {type: number}, token: {type: string, default: first}}
resources:
  net: {type: OS::Neutron::Net}
  handle: {type: OS::Heat::WaitConditionHandle}
  wait: {type: OS::Heat::WaitCondition, properties: {handle: {get_resource: handle}, count: 2, timeout: 600}}
  all:
    type: OS::Heat::ResourceGroup
    properties:
      count: {get_param: count}
      resource_def:
        type: OS::Nova::Server
        properties: {name: w-%index%, image: i, flavor: f, networks: [{network: {get_resource: net}}], user_data: \"%index%\"}
";

#[tokio::test]
async fn a_stack_runs_on_every_database() {
    for test in testkit::every_database(orchestration::migrations()).await {
        let name = test.name;
        let fixture = Fixture::over(test);
        let caller =
            |generation| Ctx::for_project("req-owner", PROJECT).with_generation(generation);
        let new = NewStack {
            parameters: parameters(&[("count", json!(87))]),
            ..Fixture::new_stack(TEMPLATE)
        };
        let id = fixture
            .stacks
            .create(&caller(1), new.clone())
            .await
            .unwrap()
            .id;
        fixture.ends(&id, Action::Create, Status::InProgress).await;
        for (node, generation) in [("0", 3), ("1", 3), ("1", 2)] {
            let signal = Signal {
                id: node.into(),
                status: if generation == 2 {
                    "FAILURE"
                } else {
                    "SUCCESS"
                }
                .into(),
                reason: String::new(),
                data: json!(null),
            };
            let ctx = caller(generation);
            fixture
                .stacks
                .signal(&ctx, &id, "handle", signal)
                .await
                .unwrap();
        }
        fixture.ends(&id, Action::Create, Status::Complete).await;
        assert_eq!(fixture.cloud.count()["server"], 87, "{name}");
        fixture.cloud.fail("w-5");
        fixture.unhealthy(&id, Some("all"), "5", "incident").await;
        fixture.update(&id, None, &[("count", json!(86))]).await;
        fixture.ends(&id, Action::Update, Status::Complete).await;
        assert_eq!(fixture.cloud.count()["server"], 86, "{name}");
        let rebuilds = fixture.cloud.log();
        let rebuilds = rebuilds.iter().filter(|l| *l == "rebuild server w-5");
        assert_eq!(rebuilds.count(), 1, "{name}");
        fixture.stacks.delete(&caller(4), &id).await.unwrap();
        fixture.settle().await;
        assert!(fixture.show(&id).await.is_none(), "{name}");
        assert!(fixture.cloud.objects().is_empty(), "{name}");
        let late = fixture.stacks.create(&caller(1), new).await;
        assert_eq!(late.unwrap_err().kind, Kind::Conflict, "{name}");
    }
}
