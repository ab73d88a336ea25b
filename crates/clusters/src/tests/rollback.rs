//! Failed updates that are rolled back.

use orchestration::api::{Action, Status};
use serde_json::{Value, json};

use super::fixture::*;
use super::kube::{built, hello, ready};
use super::nodes::{self, node_name, session};

async fn patch(w: &Fixture, id: &str, query: &str, count: i64) -> TestResponse {
    let body = json!([{ "op": "replace", "path": "/node_count", "value": count }]);
    let path = format!("/v1/clusters/{id}{query}");
    let got = w.call(ALICE, "PATCH", &path, Some(body)).await;
    w.settle().await;
    got
}

/// Kind and node of the task that the master takes next and answers.
async fn work(w: &Fixture, ok: bool, log: &str) -> (String, String) {
    let task = nodes::work(w, ok, log).await;
    let word = |key: &str| task[key].as_str().unwrap().to_owned();
    (word("kind"), word("node"))
}

async fn no_task(w: &Fixture) {
    let master = session("master0");
    let task = w.node(&master, "GET", "tasks?wait=0", Value::Null).await;
    assert_eq!(task.status, 204, "{}", task.body);
}

/// The node registers and then fails.
async fn breaks(w: &Fixture, index: &str) {
    let step =
        json!({ "name": "kubelet", "status": "failed", "at_micros": 5, "log": "no space left" });
    let s = session(&format!("node{index}"));
    let got = w
        .node(&s, "POST", "steps", json!({ "steps": [step] }))
        .await;
    assert_eq!(got.status, 204);
    w.settle().await;
}

async fn fails(w: &Fixture, why: &str) {
    w.stack(|s| {
        let s = s.as_mut().unwrap();
        s.status = Status::Failed;
        s.status_reason = why.into();
    })
    .await;
}

fn indices(w: &Fixture) -> Vec<String> {
    let tokens = w.heat.lock().parameters["node_tokens"].clone();
    tokens.as_object().unwrap().keys().cloned().collect()
}

/// Resizes from two workers to four, of which one joins and one fails, and
/// rolls back. The server is killed at the `at`-th call to the stack; returns
/// whether there were that many calls.
async fn there_and_back(at: i64) -> bool {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let (joined, broke) = (node_name(&w, "node", "2"), node_name(&w, "node", "3"));
    let tokens = w.heat.lock().parameters["node_tokens"].clone();
    w.heat.1.arm(at);
    assert_eq!(patch(&w, &id, "?rollback=true", 4).await.status, 202);
    assert_eq!(w.show(&id).await["status"], "UPDATE_IN_PROGRESS");
    ready(&w, &id, "node", "2").await;
    hello(&w, &id, "node", "3").await;
    breaks(&w, "3").await;
    fails(&w, "WaitConditionFailure").await;

    // A node that has joined is drained before its server is deleted.
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(shown["node_count"], 2);
    let cause = format!("Node {broke}: step kubelet failed: no space left. ");
    let why = shown["status_reason"].as_str().unwrap();
    let end = format!(" (rolling back: Waiting for a master to drain {joined}.)");
    assert!(why.starts_with(&cause) && why.ends_with(&end), "{why}");
    assert_eq!(w.heat.lock().parameters["node_count"], 4);
    assert_eq!(work(&w, true, "").await, ("drain".into(), joined.clone()));
    {
        let heat = w.heat.lock();
        assert_eq!(heat.parameters["node_count"], 2);
        assert_eq!(heat.parameters["node_tokens"], tokens);
        assert_eq!(heat.parameters["node_removed"], json!(["2", "3"]));
        // Nodes that failed do not fail the rollback.
        let last = heat.signals.iter().rfind(|s| s.id == broke).unwrap();
        assert_eq!(last.status, "SUCCESS");
        let stack = heat.stack.as_ref().unwrap();
        assert_eq!(
            (stack.action, stack.status),
            (Action::Update, Status::InProgress)
        );
    }
    w.complete().await;
    let mut gone = [work(&w, true, "").await, work(&w, true, "").await];
    gone.sort();
    assert_eq!(gone, [joined, broke].map(|n| ("remove".to_owned(), n)));
    no_task(&w).await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_COMPLETE");
    assert_eq!(shown["node_count"], 2);
    let why = shown["status_reason"].as_str().unwrap();
    assert!(
        why.starts_with(&cause) && !why.contains("rolling back"),
        "{why}"
    );
    assert_eq!(shown["faults"], Value::Null);
    let groups = format!("/v1/clusters/{id}/nodegroups");
    let groups = w.call(ALICE, "GET", &groups, None).await.body;
    for g in groups["nodegroups"].as_array().unwrap() {
        assert_eq!(g["status"], "ROLLBACK_COMPLETE");
    }
    let events = db::outbox_after(&w.db, 10).await.unwrap();
    let outcomes: Vec<_> = events
        .iter()
        .map(|e| {
            let p = &e.event.payload;
            (
                p["action"].as_str().unwrap(),
                p["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        outcomes[2..],
        [("update", "pending"), ("update", "success")]
    );

    // The next update needs its own rollback request.
    assert_eq!(patch(&w, &id, "", 3).await.status, 202);
    assert_eq!(indices(&w), ["0", "1", "4"]);
    fails(&w, "WaitConditionTimeout").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_FAILED");
    assert_eq!(shown["status_reason"], "WaitConditionTimeout");
    assert_eq!(shown["node_count"], 3);
    w.heat.1.reached()
}

#[tokio::test]
async fn a_failed_scale_up_is_rolled_back() {
    assert!(!there_and_back(0).await);
}

#[tokio::test]
async fn a_server_killed_during_update_or_rollback_resumes() {
    let mut at = 1;
    while there_and_back(at).await {
        at += 1;
    }
    assert!(at > 12, "{at}");
}

#[tokio::test]
async fn without_the_flag_existing_nodes_stay() {
    for query in ["", "?rollback=False"] {
        let w = Fixture::new().await;
        let id = built(&w, json!({})).await;
        assert_eq!(patch(&w, &id, query, 3).await.status, 202);
        hello(&w, &id, "node", "2").await;
        breaks(&w, "2").await;
        fails(&w, "WaitConditionFailure").await;
        let shown = w.show(&id).await;
        assert_eq!(shown["status"], "UPDATE_FAILED");
        assert_eq!(shown["node_count"], 3);
        assert_eq!(indices(&w), ["0", "1", "2"]);
        no_task(&w).await;
    }
}

#[tokio::test]
async fn the_flag_is_checked_and_known_from_1_3_on() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let got = patch(&w, &id, "?rollback=perhaps", 3).await;
    let text = "Invalid input for field/attribute rollback. Value: 'perhaps'. Unrecognized value, \
                acceptable values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', \
                'y', 'yes'";
    assert_eq!(
        (got.status, &got.body["errors"][0]["detail"]),
        (400, &json!(text))
    );
    let path = format!("/v1/clusters/{id}?rollback=true");
    let body = json!([{ "op": "replace", "path": "/node_count", "value": 3 }]);
    let version = "container-infra 1.2";
    let got = w.at(version, ALICE, "PATCH", &path, Some(body)).await;
    assert_eq!(
        (got.status, &got.body["errors"][0]["detail"]),
        (400, &json!("Unknown argument: \"rollback\""))
    );
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
}

#[tokio::test]
async fn a_blocked_drain_ends_as_a_rollback() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let sent = w.heat.lock().parameters.clone();
    assert_eq!(patch(&w, &id, "?rollback=1", 0).await.status, 202);
    work(&w, true, "").await;
    let (_, node) = work(&w, false, "budget default/web allows no disruption").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_COMPLETE");
    assert_eq!(shown["node_count"], 2);
    let why = shown["status_reason"].as_str().unwrap();
    let start = format!("Node {node}: step drain failed: budget default/web allows no disruption.");
    assert!(why.starts_with(&start), "{why}");
    assert_eq!(w.heat.lock().parameters, sent);
    for _ in 0..2 {
        assert_eq!(work(&w, true, "").await.0, "activate");
    }
}

#[tokio::test]
async fn a_blocked_drain_during_a_rollback_fails_it() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    patch(&w, &id, "?rollback=true", 4).await;
    ready(&w, &id, "node", "2").await;
    hello(&w, &id, "node", "3").await;
    breaks(&w, "3").await;
    fails(&w, "WaitConditionFailure").await;
    work(&w, false, "budget default/web allows no disruption").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_FAILED");
    let why = shown["status_reason"].as_str().unwrap();
    for word in [
        "step kubelet failed: no space left",
        "(the rollback failed as well: ",
        "step drain failed: budget default/web",
    ] {
        assert!(why.contains(word), "{why}");
    }
    assert!(shown["faults"]["default-worker"].is_string());
    // A node that has joined stays and is uncordoned.
    assert_eq!(shown["node_count"], 3);
    assert_eq!(work(&w, true, "").await.0, "activate");
    // A resize is possible in this state, an update is not.
    assert_eq!(patch(&w, &id, "", 2).await.status, 400);
    let path = format!("/v1/clusters/{id}/actions/resize");
    let body = Some(json!({ "node_count": 3 }));
    assert_eq!(w.call(ALICE, "POST", &path, body).await.status, 202);
    w.settle().await;
    assert_eq!(indices(&w), ["0", "1", "2"]);
    w.complete().await;
    assert_eq!(work(&w, true, "").await.0, "remove");
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_COMPLETE");
    assert_eq!(shown["status_reason"], Value::Null);
}

#[tokio::test]
async fn an_update_refused_by_the_stack_changes_nothing() {
    let w = Fixture::new().await;
    let id = nodes::built(&w).await;
    let sent = w.heat.lock().parameters.clone();
    w.heat.lock().refuse = Some(kernel::Error::invalid("image", "The image is gone."));
    patch(&w, &id, "?rollback=true", 3).await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_COMPLETE");
    assert_eq!(shown["status_reason"], "The image is gone.");
    assert_eq!(shown["node_count"], 2);
    assert_eq!(w.heat.lock().parameters, sent);
    // The third node was never sent to the stack, so its index is free.
    w.heat.lock().refuse = None;
    patch(&w, &id, "", 3).await;
    assert_eq!(indices(&w), ["0", "1", "2"]);
}

#[tokio::test]
async fn removed_workers_are_replaced_during_a_rollback() {
    let w = Fixture::new().await;
    let id = nodes::built(&w).await;
    patch(&w, &id, "?rollback=true", 1).await;
    let gone = node_name(&w, "node", "1");
    for kind in ["drain", "remove"] {
        assert_eq!(work(&w, true, "").await, (kind.to_owned(), gone.clone()));
    }
    fails(&w, "Resource DELETE failed: the engine does not answer").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(shown["node_count"], 2);
    assert_eq!(indices(&w), ["0", "2"]);
    assert_eq!(w.heat.lock().parameters["node_removed"], json!(["1"]));
    nodes::ready(&w, &id, "node", "2").await;
    w.complete().await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_COMPLETE");
    let why = "Resource DELETE failed: the engine does not answer";
    assert_eq!(shown["status_reason"], why);
    assert_eq!(shown["api_address"], "tcp://10.64.0.2:2376");
}

#[tokio::test]
async fn a_failed_rollback_reports_both_causes_and_can_be_deleted() {
    let w = Fixture::new().await;
    let id = nodes::built(&w).await;
    patch(&w, &id, "?rollback=true", 3).await;
    fails(&w, "No valid host was found.").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(shown["status_reason"], "No valid host was found.");
    assert_eq!(indices(&w), ["0", "1"]);
    fails(&w, "The engine does not answer.").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "ROLLBACK_FAILED");
    let why = "No valid host was found. (the rollback failed as well: The engine does not answer.)";
    assert_eq!(shown["status_reason"], why);
    assert_eq!(shown["node_count"], 2);
    let path = format!("/v1/clusters/{id}");
    assert_eq!(w.call(ALICE, "DELETE", &path, None).await.status, 204);
    w.settle().await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "DELETE_IN_PROGRESS");
    assert!(!shown["status_reason"].as_str().unwrap().contains("rolling"));
}

#[tokio::test]
async fn a_resize_during_an_update_has_no_rollback() {
    let w = Fixture::new().await;
    let id = nodes::built(&w).await;
    patch(&w, &id, "?rollback=true", 3).await;
    let path = format!("/v1/clusters/{id}/actions/resize");
    let body = Some(json!({ "node_count": 4 }));
    assert_eq!(w.call(ALICE, "POST", &path, body).await.status, 202);
    w.settle().await;
    fails(&w, "No valid host was found.").await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_FAILED");
    assert_eq!(shown["node_count"], 4);
}
