//! Kubernetes: nodes that join, leave, or cannot be drained.

use orchestration::api::Status;
use serde_json::{Value, json};

use super::fixture::*;
use super::kube::{built, hello, ready};
use super::nodes::{node_name, session, work};

async fn resize(w: &Fixture, id: &str, body: Value) {
    let path = format!("/v1/clusters/{id}/actions/resize");
    let got = w.call(ALICE, "POST", &path, Some(body)).await;
    assert_eq!(got.status, 202, "{}", got.body);
    w.settle().await;
}

fn is(task: &Value, kind: &str, node: &str) {
    assert_eq!((&task["kind"], &task["node"]), (&json!(kind), &json!(node)));
}

#[tokio::test]
async fn a_shrink_drains_removes_the_server_and_then_the_node_object() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let gone = node_name(&w, "node", "0");
    resize(
        &w,
        &id,
        json!({ "node_count": 1, "nodes_to_remove": ["10.64.0.20"] }),
    )
    .await;
    let shown = w.show(&id).await;
    assert_eq!(
        shown["status_reason"],
        format!("Waiting for a master to drain {gone}.")
    );
    let task = work(&w, true, "").await;
    is(&task, "drain", &gone);
    let seconds = task["deadline"].as_u64().unwrap();
    assert!((110..=120).contains(&seconds), "{seconds}");
    assert_eq!(w.heat.lock().parameters["node_removed"], json!(["0"]));
    w.stack(|s| s.as_mut().unwrap().status = Status::Complete)
        .await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_IN_PROGRESS");
    assert_eq!(
        shown["status_reason"],
        format!("Waiting for a master to remove {gone} from the cluster.")
    );
    // While a node leaves, its peers still reach its pods.
    let s = session("node1");
    let peers = w.node(&s, "GET", "peers", Value::Null).await.body;
    assert_eq!(peers["nodes"].as_array().unwrap().len(), 3);
    let path = format!("peers?known={}&wait=20", peers["version"].as_str().unwrap());
    let (news, task) = tokio::join!(w.node(&s, "GET", &path, Value::Null), work(&w, true, ""));
    is(&task, "remove", &gone);
    assert_eq!(news.body["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(w.show(&id).await["status"], "UPDATE_COMPLETE");

    // Its pod range is free again, but its index is not.
    resize(&w, &id, json!({ "node_count": 2 })).await;
    let got = hello(&w, &id, "node", "2").await.body;
    assert_eq!(got["kubernetes"]["node_pod_cidr"], "10.100.1.0/24");
}

#[tokio::test]
async fn a_blocked_drain_changes_nothing() {
    let w = Fixture::new().await;
    let id = built(&w, json!({ "node_drain_timeout": "30" })).await;
    let (a, b) = (node_name(&w, "node", "0"), node_name(&w, "node", "1"));
    let sent = w.heat.lock().parameters.clone();
    resize(&w, &id, json!({ "node_count": 0 })).await;
    let first = work(&w, true, "").await;
    assert!(first["deadline"].as_u64().unwrap() <= 30);
    assert_eq!(w.show(&id).await["status"], "UPDATE_IN_PROGRESS");
    let log = "pod default/web-1 may not be evicted: budget default/web allows no disruption";
    let second = work(&w, false, log).await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_FAILED");
    let why = shown["status_reason"].as_str().unwrap();
    let start = format!(
        "Node {}: step drain failed: {log}. Nothing was removed.",
        second["node"].as_str().unwrap()
    );
    assert!(why.starts_with(&start), "{why}");
    assert_eq!(shown["faults"], json!({ "default-worker": why }));
    assert_eq!(shown["node_count"], 2);
    assert_eq!(w.heat.lock().parameters, sent);
    let mut back = Vec::new();
    for _ in 0..2 {
        let task = work(&w, true, "").await;
        assert_eq!(task["kind"], "activate");
        back.push(task["node"].as_str().unwrap().to_owned());
    }
    back.sort();
    assert_eq!(back, [a, b.clone()]);

    // The next resize starts from the beginning.
    resize(&w, &id, json!({ "node_count": 1 })).await;
    is(&work(&w, true, "").await, "drain", &b);
    w.stack(|s| s.as_mut().unwrap().status = Status::Complete)
        .await;
    is(&work(&w, true, "").await, "remove", &b);
    let shown = w.show(&id).await;
    assert_eq!(
        (&shown["status"], &shown["node_count"]),
        (&json!("UPDATE_COMPLETE"), &json!(1))
    );
}

#[tokio::test]
async fn a_failed_drain_deletes_the_new_nodes() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    // One worker reports a failure: it is replaced during the scale-down.
    resize(&w, &id, json!({ "node_count": 3 })).await;
    hello(&w, &id, "node", "2").await;
    let failed =
        json!({ "steps": [{ "name": "kubelet", "status": "failed", "at_micros": 5, "log": "x" }] });
    w.node(&session("node2"), "POST", "steps", failed).await;
    w.stack(|s| s.as_mut().unwrap().status = Status::Failed)
        .await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_FAILED");
    resize(
        &w,
        &id,
        json!({ "node_count": 2, "nodes_to_remove": ["0"] }),
    )
    .await;
    is(
        &work(&w, false, "blocked").await,
        "drain",
        &node_name(&w, "node", "0"),
    );
    let shown = w.show(&id).await;
    assert_eq!(
        (&shown["status"], &shown["node_count"]),
        (&json!("UPDATE_FAILED"), &json!(2))
    );
    resize(&w, &id, json!({ "node_count": 3 })).await;
    let issued = w.heat.lock().parameters["node_tokens"].clone();
    let indices: Vec<&String> = issued.as_object().unwrap().keys().collect();
    assert_eq!(indices, ["0", "1", "3"]);
    ready(&w, &id, "node", "3").await;
    w.stack(|s| s.as_mut().unwrap().status = Status::Complete)
        .await;
    // A node that never registered may still have a Node object.
    is(
        &work(&w, true, "").await,
        "activate",
        &node_name(&w, "node", "0"),
    );
    is(
        &work(&w, true, "").await,
        "remove",
        &node_name(&w, "node", "2"),
    );
    assert_eq!(w.show(&id).await["status"], "UPDATE_COMPLETE");
}
