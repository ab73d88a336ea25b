//! Kubernetes: nodes whose servers are lost.

use compute::api::ServerStatus;
use orchestration::api::Status;
use serde_json::{Value, json};

use super::fixture::*;
use super::kube::{built, hello};
use super::nodes::{self, node_name, session};

/// Servers for every node; the one of this name is in error.
fn servers(w: &Fixture, names: &[String], lost: &str) {
    let mut all: Vec<_> = names.iter().map(|n| server(n)).collect();
    for s in all.iter_mut().filter(|s| s.name == lost) {
        s.status = ServerStatus::Error;
    }
    *w.things.servers.lock().unwrap() = all;
}

/// Resources that the stack rebuilt: group and member.
fn rebuilt(w: &Fixture) -> Vec<String> {
    let heat = w.heat.lock();
    let names = heat.rebuilt.iter();
    names
        .map(|(group, name)| format!("{} {name}", group.as_deref().unwrap_or("-")))
        .collect()
}

/// The master claims the next task and completes it.
async fn work(w: &Fixture, kind: &str, node: &str) {
    let task = nodes::work(w, true, "").await;
    assert_eq!((&task["kind"], &task["node"]), (&json!(kind), &json!(node)));
}

#[tokio::test]
async fn a_lost_worker_is_rebuilt_with_a_new_token() {
    let w = Fixture::new().await;
    let id = built(&w, json!({ "auto_healing_enabled": "true" })).await;
    let (master, lost) = (node_name(&w, "master", "0"), node_name(&w, "node", "1"));
    let names = [master, node_name(&w, "node", "0"), lost.clone()];
    let sent = w.heat.lock().parameters.clone();
    let token = w.token("node", "1");
    servers(&w, &names, "none");
    w.stack(|_| {}).await;
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");

    // The stack returns the fault that compute reported.
    servers(&w, &names, &lost);
    w.stack(|_| {}).await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_IN_PROGRESS");
    work(&w, "remove", &lost).await;
    assert_eq!(rebuilt(&w), ["workers 1"]);
    let fresh = w.token("node", "1");
    assert_ne!(fresh, token);
    // The servers of all others keep their user data.
    let sent_parameters = w.heat.lock().parameters.clone();
    assert_eq!(
        sent_parameters["node_tokens"]["0"],
        sent["node_tokens"]["0"]
    );
    assert_eq!(sent_parameters["master_tokens"], sent["master_tokens"]);
    assert_eq!(sent_parameters["node_count"], sent["node_count"]);
    let why = w.show(&id).await["status_reason"].clone();
    assert_eq!(why, format!("Waiting for {lost} to be rebuilt."));
    // Its peers know its future address.
    let peers = w.node(&session("node0"), "GET", "peers", Value::Null).await;
    assert_eq!(peers.body["nodes"].as_array().unwrap().len(), 3);

    // The previous session and token of the node are invalid.
    let said = json!({ "node_id": "x" });
    let old = w
        .node(&session("node1"), "POST", "ready", said.clone())
        .await;
    assert_eq!(old.status, 401);
    let greet = |token: &str| {
        json!({ "cluster": id, "node": lost, "token": token, "session": session("again"),
            "addresses": ["10.64.0.21"], "boot": 1 })
    };
    let refused = w.node("", "POST", "hello", greet(&token)).await;
    assert_eq!(refused.status, 401);
    let got = w.node("", "POST", "hello", greet(&fresh)).await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert_eq!(got.body["kubernetes"]["node_pod_cidr"], "10.100.2.0/24");
    assert_eq!(got.body["kubernetes"]["etcd_join"], json!([]));
    servers(&w, &names, "none");
    let ready = w.node(&session("again"), "POST", "ready", said).await;
    assert_eq!(ready.status, 204);
    w.settle().await;
    // The stack gets no other update, so nothing is created twice.
    assert_eq!(w.heat.lock().parameters, sent_parameters);
    assert_eq!(rebuilt(&w).len(), 1);
    // A server that is lost during the rebuild is handled next.
    servers(&w, &names, &names[1]);
    w.stack(|s| s.as_mut().unwrap().status = Status::Complete)
        .await;
    work(&w, "remove", &names[1]).await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_IN_PROGRESS");
}

#[tokio::test]
async fn without_the_label_a_resize_rebuilds_or_removes_lost_nodes() {
    let w = Fixture::new().await;
    let id = built(&w, json!({})).await;
    let lost = node_name(&w, "node", "0");
    let names = [
        node_name(&w, "master", "0"),
        lost.clone(),
        node_name(&w, "node", "1"),
    ];
    servers(&w, &names, &lost);
    w.stack(|_| {}).await;
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
    // With only one desired worker the lost one is removed without a drain.
    let path = format!("/v1/clusters/{id}/actions/resize");
    let body = Some(json!({ "node_count": 1 }));
    assert_eq!(w.call(ALICE, "POST", &path, body).await.status, 202);
    w.settle().await;
    assert_eq!(w.heat.lock().parameters["node_removed"], json!(["0"]));
    assert!(rebuilt(&w).is_empty());
    w.stack(|s| s.as_mut().unwrap().status = Status::Complete)
        .await;
    work(&w, "remove", &lost).await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_COMPLETE");

    let lost = node_name(&w, "node", "1");
    servers(&w, &names, &lost);
    let body = Some(json!({ "node_count": 1 }));
    assert_eq!(w.call(ALICE, "POST", &path, body).await.status, 202);
    w.settle().await;
    work(&w, "remove", &lost).await;
    assert_eq!(rebuilt(&w), ["workers 1"]);
}

#[tokio::test]
async fn a_single_lost_master_is_not_rebuilt() {
    let w = Fixture::new().await;
    let id = built(&w, json!({ "auto_healing_enabled": "true" })).await;
    let lost = node_name(&w, "master", "0");
    let names = [
        lost.clone(),
        node_name(&w, "node", "0"),
        node_name(&w, "node", "1"),
    ];
    servers(&w, &names, &lost);
    w.stack(|_| {}).await;
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
    assert!(rebuilt(&w).is_empty());
    // Its agent keeps its session.
    assert_eq!(hello(&w, &id, "master", "0").await.status, 200);
}
