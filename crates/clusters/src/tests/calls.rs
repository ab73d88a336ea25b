//! Calls of protocol 1, exactly as agents of the first release send them, which
//! must keep working with this server.

use serde_json::{Value, json};

use super::fixture::*;
use super::nodes::{built, node_name, session};

#[tokio::test]
async fn agents_of_the_first_release_are_served_with_protocol_1() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let (node, token, s) = (
        node_name(&w, "master", "0"),
        w.token("master", "0"),
        session("golden"),
    );
    let hello = json!({ "cluster": id, "node": node, "token": token, "session": s,
        "addresses": ["10.64.0.2"], "boot": 1 });
    let got = w.node("", "POST", "hello", hello.clone()).await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.body,
        json!({ "role": "manager", "first_manager": true, "kubernetes": null,
            "swarm": { "addr_pool": ["10.32.0.0/11"], "subnet_size": 24 } })
    );
    let steps = json!({ "steps": [
        { "name": "prepare", "status": "ok", "at_micros": 1, "log": "" },
        { "name": "init", "status": "retrying", "at_micros": 2, "log": "once more" }] });
    assert_eq!(w.node(&s, "POST", "steps", steps).await.status, 204);
    // Nothing was published yet.
    let got = w.node(&s, "GET", "join?wait=0", Value::Null).await;
    assert_eq!((got.status, got.body), (204, Value::Null));
    let published = json!({ "remote_addr": "10.64.0.2:2377", "worker_token": "W",
        "manager_token": "M", "ca": null });
    assert_eq!(w.node(&s, "POST", "published", published).await.status, 204);
    let got = w.node(&s, "GET", "join?wait=25", Value::Null).await;
    assert_eq!(
        (got.status, got.body),
        (
            200,
            json!({ "remote_addrs": ["10.64.0.2:2377"], "token": "M" })
        )
    );
    let ready = json!({ "node_id": "abc" });
    assert_eq!(w.node(&s, "POST", "ready", ready).await.status, 204);
    let got = w.node(&s, "GET", "tasks?busy=&wait=0", Value::Null).await;
    assert_eq!((got.status, got.body), (204, Value::Null));
    let observed = json!({ "nodes": [{ "hostname": node, "id": "abc", "role": "manager",
        "availability": "active", "state": "ready", "addr": "10.64.0.2",
        "reachability": "reachable", "leader": true }], "ipvs": true, "version": "20.10.24",
        "problem": null, "addons": [] });
    assert_eq!(w.node(&s, "POST", "observed", observed).await.status, 204);
    let got = w.node("nobody", "GET", "tasks?wait=0", Value::Null).await;
    assert_eq!(
        (got.status, got.body),
        (401, json!({ "error": "The session is not known." }))
    );
    // They send no protocol range.
    assert_eq!(w.node("", "POST", "hello", hello).await.status, 200);
}

#[tokio::test]
async fn their_tasks_are_flat_and_their_results_plain() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let body = json!([{ "op": "replace", "path": "/node_count", "value": 1 }]);
    let path = format!("/v1/clusters/{id}");
    assert_eq!(w.call(ALICE, "PATCH", &path, Some(body)).await.status, 202);
    w.settle().await;
    let s = session("master0");
    let got = w.node(&s, "GET", "tasks?busy=&wait=25", Value::Null).await;
    assert_eq!(got.status, 200);
    let keys: Vec<&String> = got.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "kind", "node", "others", "deadline"]);
    assert_eq!(got.body["kind"], "drain");
    let done = format!("tasks/{}", got.body["id"].as_str().unwrap());
    let result = json!({ "ok": true, "log": "" });
    assert_eq!(w.node(&s, "POST", &done, result).await.status, 204);
}
