//! Sessions: which changes are pushed, that idle sessions read nothing, and
//! which agents are refused.

use nodewire::Protocols;
use serde_json::{Value, json};

use super::fixture::*;
use super::nodes::{built, node_name, ready, session};

fn hello(w: &Fixture, cluster: &str, word: &str, index: &str) -> Value {
    let host = if word == "master" { 2 } else { 3 };
    json!({ "cluster": cluster, "node": node_name(w, word, index),
        "token": w.token(word, index), "session": session(&format!("{word}{index}")),
        "addresses": [format!("10.64.{host}.{index}")], "boot": 1,
        "protocols": nodewire::AGENT_PROTOCOLS, "software": "test" })
}

/// Opens the session of a node; its first frame is taken.
async fn open(w: &Fixture, cluster: &str, word: &str, index: &str) -> (Stream, Value) {
    let body = hello(w, cluster, word, index);
    let mut stream = w.stream("", "POST", "session", body).await.unwrap();
    let accepted = stream.expect("accepted").await;
    assert_eq!(accepted["protocol"], 2);
    (stream, accepted["welcome"].clone())
}

async fn tasks(w: &Fixture) -> Stream {
    let master = session("master0");
    w.stream(&master, "GET", "tasks", Value::Null)
        .await
        .unwrap()
}

async fn resize(w: &Fixture, cluster: &str, count: u32) {
    let body = json!([{ "op": "replace", "path": "/node_count", "value": count }]);
    let got = w
        .call(
            ALICE,
            "PATCH",
            &format!("/v1/clusters/{cluster}"),
            Some(body),
        )
        .await;
    assert_eq!(got.status, 202, "{}", got.body);
    w.settle().await;
}

#[tokio::test]
async fn what_changes_is_pushed_and_nothing_is_read_meanwhile() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let (mut master, welcome) = open(&w, &id, "master", "0").await;
    assert_eq!(welcome["first_manager"], true);
    let mut workers = Vec::new();
    for index in ["0", "1"] {
        workers.push(open(&w, &id, "node", index).await.0);
    }
    // Everything that the calls requested has been read now.
    for stream in workers.iter_mut().chain([&mut master]) {
        assert!(stream.is_silent(150).await);
    }
    let before = w.db.queries();
    for stream in &mut workers {
        assert!(stream.is_silent(300).await);
    }
    assert_eq!(w.db.queries(), before, "an idle agent costs no query");

    let news =
        json!({ "remote_addr": "10.64.0.2:2377", "worker_token": "W", "manager_token": "M" });
    let got = w.node(&session("master0"), "POST", "published", news).await;
    assert_eq!(got.status, 204, "{}", got.body);
    let after = w.db.queries();
    for stream in &mut workers {
        let ticket = stream.expect("ticket").await;
        assert_eq!(ticket["token"], "W");
        assert_eq!(ticket["remote_addrs"], json!(["10.64.0.2:2377"]));
    }
    assert_eq!(master.expect("ticket").await["token"], "M");
    assert_eq!(w.db.queries() - after, 3, "it is read once for all of them");

    // A second session is refused, because the token is bound to the first.
    let mut other = hello(&w, &id, "node", "0");
    other["session"] = json!(session("other"));
    let refused = w.stream("", "POST", "session", other).await.err().unwrap();
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_task_outlives_the_server_and_its_result_counts_once() {
    let mut w = Fixture::new().await;
    let id = built(&w).await;
    let mut duties = tasks(&w).await;
    resize(&w, &id, 1).await;
    let task = duties.expect("task").await;
    assert_eq!(task["kind"], "drain");
    assert!(duties.is_silent(200).await, "it is given once");

    w.restart_bootstrap().await;
    let mut duties = tasks(&w).await;
    assert_eq!(duties.expect("task").await["id"], task["id"]);

    let path = format!("tasks/{}", task["id"].as_str().unwrap());
    let result = json!({ "ok": true, "log": "first" });
    let master = session("master0");
    for _ in 0..2 {
        let got = w.node(&master, "POST", &path, result.clone()).await;
        assert_eq!(got.status, 204, "{}", got.body);
    }
    // The consequences happen only once.
    let next = duties.expect("task").await;
    assert_eq!(next["kind"], "remove");
    assert!(duties.is_silent(200).await);
    let count = "SELECT kind, status FROM magnum_task ORDER BY created_at";
    assert_eq!(w.db.query(count, vec![]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_task_that_is_given_up_is_cancelled() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let mut duties = tasks(&w).await;
    resize(&w, &id, 1).await;
    let task = duties.expect("task").await;
    let lease = w.claim(&id).await;
    db::fenced!(w.db, lease, |tx| {
        crate::node::table::drop_drains(tx, &id).await
    })
    .unwrap();
    assert_eq!(duties.expect("cancel").await["task"], task["id"]);
}

#[tokio::test]
async fn an_agent_that_does_not_know_a_task_fails_it() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let mut duties = tasks(&w).await;
    resize(&w, &id, 1).await;
    let task = duties.expect("task").await;
    let path = format!("tasks/{}", task["id"].as_str().unwrap());
    let why = "this agent does not support the task 'drain'";
    let result = json!({ "ok": false, "unsupported": true, "log": why });
    let got = w.node(&session("master0"), "POST", &path, result).await;
    assert_eq!(got.status, 204);
    let row =
        w.db.query(
            "SELECT status, log FROM magnum_task WHERE kind = 'drain'",
            vec![],
        )
        .await
        .unwrap()
        .remove(0);
    assert_eq!(row.text("status").unwrap(), "failed");
    assert_eq!(row.text("log").unwrap(), why);
}

#[tokio::test]
async fn an_incompatible_agent_is_refused_and_the_cluster_status_says_so() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let mut body = hello(&w, &id, "node", "0");
    body["protocols"] = json!(Protocols { min: 3, max: 4 });
    let refused = w.stream("", "POST", "session", body).await.err().unwrap();
    assert_eq!(refused.status, 426);
    let said = refused.body["error"].as_str().unwrap().to_owned();
    assert!(said.contains("upgrade the server"), "{said}");
    // A wrong token reveals nothing and fails no node.
    let mut body = hello(&w, &id, "master", "0");
    body["protocols"] = json!(Protocols { min: 3, max: 4 });
    body["token"] = json!("wrong");
    let refused = w.stream("", "POST", "session", body).await.err().unwrap();
    assert_eq!(refused.status, 401);

    let shown = w
        .own_target(ALICE, &format!("/clusters/{id}/progress"))
        .await
        .body;
    let node = |name: String| {
        let all = shown["nodes"].as_array().unwrap();
        all.iter().find(|n| n["name"] == name).unwrap().clone()
    };
    let failed = node(node_name(&w, "node", "0"));
    assert_eq!(failed["status"], "failed", "{shown}");
    assert_eq!(failed["steps"][0]["name"], "hello");
    assert_eq!(node(node_name(&w, "master", "0"))["status"], "waiting");
    // The stack is signalled, so its failure fails the cluster.
    let signals = w.heat.lock().signals.clone();
    assert_eq!(signals.len(), 1);
    assert_eq!(signals[0].status, "FAILURE");
    assert!(
        signals[0]
            .reason
            .contains("agent speaks protocol 3..4, this server 1..2"),
        "{}",
        signals[0].reason
    );
}

#[tokio::test]
async fn a_session_ends_with_its_node() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    for (word, index) in [("master", "0"), ("node", "0"), ("node", "1")] {
        ready(&w, &id, word, index).await;
    }
    w.complete().await;
    let (mut stream, _) = open(&w, &id, "node", "1").await;
    assert!(stream.is_silent(100).await);
    let name = node_name(&w, "node", "1");
    let mut tx = w.db.begin().await.unwrap();
    let nodes = crate::node::table::of_cluster_tx(&mut tx, &id)
        .await
        .unwrap();
    let mut node = nodes.into_iter().find(|n| n.name == name).unwrap();
    node.status = crate::node::NodeStatus::Removed;
    crate::node::table::save(&mut tx, &node).await.unwrap();
    tx.commit().await.unwrap();
    assert!(stream.next().await.is_none());
    let again = hello(&w, &id, "node", "1");
    let refused = w.stream("", "POST", "session", again).await.err().unwrap();
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn peers_are_pushed_when_they_differ_from_what_is_known() {
    let w = Fixture::new().await;
    let id = super::kube::accepted(&w, json!({})).await;
    let (mut worker, welcome) = open(&w, &id, "node", "0").await;
    assert_eq!(welcome["kubernetes"]["masters"], 1);
    let alone = worker.expect("peers").await;
    assert_eq!(alone["nodes"].as_array().unwrap().len(), 1);
    let (_master, _) = open(&w, &id, "master", "0").await;
    let both = worker.expect("peers").await;
    assert_eq!(both["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(both["api"], "10.64.2.0:6443");
    assert!(worker.is_silent(150).await);
    drop(worker);
    // After a reconnect only changes that the agent lacks are sent.
    let mut body = hello(&w, &id, "node", "0");
    body["peers"] = both["version"].clone();
    let mut worker = w.stream("", "POST", "session", body).await.unwrap();
    worker.expect("accepted").await;
    assert!(worker.is_silent(200).await);
}

/// Many agents of one cluster connect at once: the cluster is read a few times,
/// not once per agent.
#[tokio::test]
async fn agents_that_connect_together_share_reads() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(
            w.stream(
                &session("node0"),
                "POST",
                "session",
                hello(&w, &id, "node", "0"),
            )
            .await
            .unwrap(),
        );
    }
    for stream in &mut streams {
        stream.expect("accepted").await;
    }
    let before = w.db.queries();
    let waits = streams.iter_mut().map(|s| s.is_silent(500));
    assert!(
        futures_util::future::join_all(waits)
            .await
            .iter()
            .all(|silent| *silent)
    );
    let read = w.db.queries() - before;
    assert!(read <= 12, "{read} queries");
}
