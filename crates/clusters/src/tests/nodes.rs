//! Scenarios: a cluster from its creation to its deletion, with reporting
//! nodes.

use orchestration::api::{Action, Status};
use serde_json::{Value, json};
use std::time::Duration;

use super::fixture::*;
use super::kube_certs::{Steps, csr, read};
use crate::ClusterId;

const S0: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(super) fn session(name: &str) -> String {
    format!("{S0}-{name}")
}

/// A node registers with the token of its seed.
async fn hello(w: &Fixture, cluster: &str, word: &str, index: &str, session: &str) -> TestResponse {
    let name = node_name(w, word, index);
    let body = json!({ "cluster": cluster, "node": name, "token": w.token(word, index),
        "session": session, "addresses": [format!("10.64.0.{}", index.len() + 1)], "boot": 1 });
    w.node("", "POST", "hello", body).await
}

pub(super) fn node_name(w: &Fixture, word: &str, index: &str) -> String {
    let prefix = w.heat.lock().parameters["name"]
        .as_str()
        .unwrap()
        .to_owned();
    format!("{prefix}-{word}-{index}")
}

pub(super) async fn ready(w: &Fixture, cluster: &str, word: &str, index: &str) {
    let s = session(&format!("{word}{index}"));
    assert_eq!(hello(w, cluster, word, index, &s).await.status, 200);
    let got = w.node(&s, "POST", "ready", json!({ "node_id": "x" })).await;
    assert_eq!(got.status, 204, "{}", got.body);
}

pub(super) async fn built(w: &Fixture) -> ClusterId {
    let id = w.cluster().await;
    for (word, index) in [("master", "0"), ("node", "0"), ("node", "1")] {
        ready(w, &id, word, index).await;
    }
    w.complete().await;
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
    id
}

/// The master claims the next task and reports its result.
pub(super) async fn work(w: &Fixture, ok: bool, log: &str) -> Value {
    let master = session("master0");
    let task = w.node(&master, "GET", "tasks?wait=1", Value::Null).await;
    assert_eq!(task.status, 200, "no task");
    let path = format!("tasks/{}", task.body["id"].as_str().unwrap());
    let result = json!({ "ok": ok, "log": log });
    assert_eq!(w.node(&master, "POST", &path, result).await.status, 204);
    w.settle().await;
    task.body
}

#[tokio::test]
async fn a_cluster_is_built_as_a_stack_and_follows_it() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    {
        let heat = w.heat.lock();
        let hot: Value = serde_json::from_str(&heat.template).unwrap();
        assert_eq!(hot["parameters"]["node_tokens"]["hidden"], true);
        assert_eq!(heat.parameters["node_count"], 2);
        assert_eq!(heat.parameters["wait_count"], 3);
        assert_eq!(heat.owner.as_ref().unwrap().id, id);
    }
    let got = hello(&w, &id, "master", "0", &session("m")).await;
    assert_eq!(got.body["first_manager"], true);
    let got = hello(&w, &id, "node", "1", &session("n")).await;
    assert_eq!(
        (&got.body["first_manager"], &got.body["role"]),
        (&json!(false), &json!("worker"))
    );
    // The same session may register again, another session may not.
    assert_eq!(hello(&w, &id, "node", "1", &session("n")).await.status, 200);
    assert_eq!(
        hello(&w, &id, "node", "1", &session("thief")).await.status,
        401
    );
    assert_eq!(
        w.node("nobody", "POST", "ready", json!({ "node_id": "x" }))
            .await
            .status,
        401
    );

    let step = |status: &str, at: i64| json!({ "steps": [{ "name": "engine", "status": status, "at_micros": at }] });
    w.node(&session("n"), "POST", "steps", step("start", 1_000_000))
        .await;
    w.node(&session("n"), "POST", "steps", step("ok", 1_790_000))
        .await;
    w.node(&session("n"), "POST", "ready", json!({ "node_id": "x" }))
        .await;
    let first = w.heat.lock().signals[0].id.clone();
    assert_eq!(first, node_name(&w, "node", "1"));

    w.complete().await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "CREATE_COMPLETE");
    assert_eq!(shown["api_address"], "tcp://10.64.0.2:2376");
    assert_eq!(shown["node_addresses"], json!(["10.64.0.3", "10.64.0.4"]));
    assert_eq!(shown["labels"], json!({ "a": "1" }));
    let events = db::outbox_after(&w.db, 10).await.unwrap();
    let outcomes: Vec<_> = events
        .iter()
        .map(|e| e.event.payload["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["pending", "success"]);
}

#[tokio::test]
async fn the_time_of_a_step_is_between_the_creation_of_its_node_and_now() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let s = session("n");
    hello(&w, &id, "node", "0", &s).await;
    // The year 10000, the last and the first possible time, and one before the node.
    let times = [253_402_300_800_224_192, i64::MAX, i64::MIN, 5];
    let steps: Vec<_> = times
        .iter()
        .map(|at| json!({ "name": at.to_string(), "status": "ok", "at_micros": at }))
        .collect();
    let got = w.node(&s, "POST", "steps", json!({ "steps": steps })).await;
    assert_eq!(got.status, 204, "{}", got.body);
    let path = format!("/clusters/{id}/progress");
    let shown = w.own_target(ALICE, &path).await.body;
    let name = node_name(&w, "node", "0");
    let nodes = shown["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|n| n["name"] == name).unwrap();
    let steps = node["steps"].as_array().unwrap();
    assert_eq!(steps.len(), times.len());
    for step in steps {
        let at = kernel::Timestamp::parse_iso(step["at"].as_str().unwrap());
        let age = kernel::clock::now().since(at.unwrap());
        assert!(age < Duration::from_secs(600), "{shown}");
    }
}

#[tokio::test]
async fn the_first_cause_of_a_failure_is_in_status_reason() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let s = session("n");
    hello(&w, &id, "node", "0", &s).await;
    let body = json!({ "steps": [{ "name": "engine", "status": "failed", "at_micros": 5, "log": "no space left on device" }] });
    assert_eq!(w.node(&s, "POST", "steps", body).await.status, 204);
    assert_eq!(w.heat.lock().signals[0].status, "FAILURE");
    w.stack(|s| {
        let s = s.as_mut().unwrap();
        s.status = Status::Failed;
        s.status_reason = "WaitConditionFailure".into();
    })
    .await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "CREATE_FAILED");
    let want = format!(
        "Node {}: step engine failed: no space left on device. Free disk space on the host of \
         this node, delete the cluster and create it again.",
        node_name(&w, "node", "0")
    );
    assert_eq!(shown["status_reason"], want);
    assert_eq!(shown["faults"], json!({ "default-worker": want }));
}

#[tokio::test]
async fn a_refused_stack_fails_the_cluster_with_its_text_and_delete_works() {
    let w = Fixture::new().await;
    w.heat.lock().refuse = Some(kernel::Error::invalid("image", "The image is gone."));
    let id = w.cluster().await;
    let shown = w.show(&id).await;
    assert_eq!(
        (&shown["status"], &shown["status_reason"]),
        (&json!("CREATE_FAILED"), &json!("The image is gone."))
    );
    assert_eq!(
        w.call(ALICE, "DELETE", &format!("/v1/clusters/{id}"), None)
            .await
            .status,
        204
    );
    w.settle().await;
    assert_eq!(
        w.call(ALICE, "GET", &format!("/v1/clusters/{id}"), None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_delete_reports_what_it_waits_for_and_leaves_no_row() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let path = format!("/v1/clusters/{id}");
    assert_eq!(w.call(ALICE, "DELETE", &path, None).await.status, 204);
    w.settle().await;
    w.stack(|_| ()).await;
    let shown = w.show(&id).await;
    assert_eq!(
        (&shown["status"], &shown["status_reason"]),
        (
            &json!("DELETE_IN_PROGRESS"),
            &json!("Waiting for server n-0.")
        )
    );
    assert_eq!(w.call(ALICE, "DELETE", &path, None).await.status, 204);
    w.stack(|s| *s = None).await;
    assert_eq!(w.call(ALICE, "GET", &path, None).await.status, 404);
    for table in [
        "magnum_cluster",
        "magnum_nodegroup",
        "magnum_node",
        "magnum_task",
        "magnum_swarm",
        "flow_key",
    ] {
        let rows =
            w.db.query(&format!("SELECT COUNT(*) AS n FROM {table}"), vec![])
                .await
                .unwrap();
        assert_eq!(rows[0].int("n").unwrap(), 0, "{table}");
    }
    assert_eq!(
        w.node(
            &session("node0"),
            "POST",
            "ready",
            json!({ "node_id": "x" })
        )
        .await
        .status,
        401
    );
}

#[tokio::test]
async fn a_manager_gets_tasks_that_it_does_not_run_yet() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let resize = format!("/v1/clusters/{id}/actions/resize");
    let body = json!({ "node_count": 0 });
    assert_eq!(w.call(ALICE, "POST", &resize, Some(body)).await.status, 202);
    w.settle().await;
    let manager = session("master0");
    let ask = async |busy: &str| {
        let path = format!("tasks?busy={busy}&wait=0");
        w.node(&manager, "GET", &path, Value::Null).await
    };
    let one = ask("").await.body["id"].as_str().unwrap().to_owned();
    // A node that does not pass the id gets the task again, because the answer
    // may be lost.
    assert_eq!(ask("").await.body["id"], one);
    let other = ask(&one).await.body["id"].as_str().unwrap().to_owned();
    assert_ne!(one, other);
    assert_eq!(ask(&format!("{one},{other}")).await.status, 204);
}

#[tokio::test]
async fn a_shrink_drains_first_then_removes_and_indices_are_not_reused() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let tokens = w.heat.lock().parameters["node_tokens"].clone();
    let gone = node_name(&w, "node", "0");
    let resize = format!("/v1/clusters/{id}/actions/resize");
    let body = json!({ "node_count": 1, "nodes_to_remove": [gone] });
    assert_eq!(w.call(ALICE, "POST", &resize, Some(body)).await.status, 202);
    w.settle().await;
    let shown = w.show(&id).await;
    assert_eq!(shown["status"], "UPDATE_IN_PROGRESS");
    assert_eq!(
        shown["status_reason"],
        format!("Waiting for a manager to drain and remove {gone}.")
    );
    assert_eq!(w.heat.lock().parameters["node_count"], 2);

    let manager = session("master0");
    for kind in ["drain", "remove"] {
        let task = w.node(&manager, "GET", "tasks?wait=1", Value::Null).await;
        assert_eq!(
            (&task.body["kind"], &task.body["node"]),
            (&json!(kind), &json!(gone))
        );
        let path = format!("tasks/{}", task.body["id"].as_str().unwrap());
        assert_eq!(
            w.node(
                &session("node1"),
                "POST",
                &path,
                json!({ "ok": true, "log": "" })
            )
            .await
            .status,
            403
        );
        assert_eq!(
            w.node(&manager, "POST", &path, json!({ "ok": true, "log": "" }))
                .await
                .status,
            204
        );
        w.settle().await;
    }
    {
        let heat = w.heat.lock();
        assert_eq!(heat.parameters["node_count"], 1);
        assert_eq!(heat.parameters["node_removed"], json!(["0"]));
        assert_eq!(heat.parameters["node_tokens"], json!({ "1": tokens["1"] }));
        assert_eq!(heat.parameters["wait_count"], 3);
    }
    w.complete().await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_COMPLETE");
    let body = json!({ "node_count": 2 });
    assert_eq!(w.call(ALICE, "POST", &resize, Some(body)).await.status, 202);
    w.settle().await;
    let heat = w.heat.lock();
    let indices: Vec<_> = heat.parameters["node_tokens"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(indices, ["1", "2"]);
    assert_eq!(heat.parameters["wait_count"], 4);
    assert_eq!(heat.stack.as_ref().unwrap().action, Action::Update);
}

#[tokio::test]
async fn resizes_out_of_range_or_in_the_wrong_state_are_refused() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let resize = format!("/v1/clusters/{id}/actions/resize");
    let post = async |body: Value| {
        let got = w.call(ALICE, "POST", &resize, Some(body)).await;
        (
            got.status,
            got.body["errors"][0]["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    assert_eq!(
        post(json!({ "node_count": 3 })).await.1,
        "Resizing a cluster when status is \"CREATE_IN_PROGRESS\" is not supported."
    );
    w.complete().await;
    for (body, text) in [
        (
            json!({}),
            "Invalid input for field/attribute node_count. Value: 'None'. Mandatory field missing.",
        ),
        (
            json!({ "node_count": 1, "nodegroup": "default-master" }),
            "Resizing the master nodegroup is not supported by this driver.",
        ),
        (
            json!({ "node_count": 1, "nodes_to_remove": ["zz"] }),
            "nodes_to_remove: zz is no node of this nodegroup; give names, ids or addresses.",
        ),
        (
            json!({ "node_count": 2, "nodes_to_remove": ["0"] }),
            "nodes_to_remove names 1 nodes, but from 2 to 2 only 0 can go.",
        ),
    ] {
        assert_eq!(post(body).await, (400, text.to_owned()));
    }
    assert_eq!(
        post(json!({ "node_count": 1, "nodegroup": "ng9" })).await.0,
        404
    );
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
}

#[tokio::test]
async fn managers_report_health_and_join_secrets() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let (m, n) = (session("m"), session("n"));
    hello(&w, &id, "master", "0", &m).await;
    hello(&w, &id, "node", "0", &n).await;
    assert_eq!(
        w.node(&n, "GET", "join?wait=0", Value::Null).await.status,
        204
    );
    let news =
        json!({ "remote_addr": "10.64.0.2:2377", "worker_token": "W", "manager_token": "M" });
    assert_eq!(
        w.node(&n, "POST", "published", news.clone()).await.status,
        403
    );
    let (ticket, posted) = tokio::join!(
        w.node(&n, "GET", "join?wait=20", Value::Null),
        w.node(&m, "POST", "published", news)
    );
    assert_eq!(posted.status, 204);
    assert_eq!(
        ticket.body,
        json!({ "remote_addrs": ["10.64.0.2:2377"], "token": "W" })
    );
    let rows =
        w.db.query("SELECT join_sealed FROM magnum_swarm", vec![])
            .await
            .unwrap();
    assert!(rows[0].text("join_sealed").unwrap().starts_with("jbs1."));

    let member = |name: &str| {
        json!({ "hostname": name, "id": "x", "role": "worker", "availability": "active",
        "state": "ready", "addr": "", "reachability": null, "leader": false })
    };
    let nodes: Vec<_> = [("master", "0"), ("node", "0")]
        .map(|(word, i)| member(&node_name(&w, word, i)))
        .into();
    let seen = json!({ "nodes": nodes, "ipvs": false, "version": "20.10.24" });
    assert_eq!(w.node(&m, "POST", "observed", seen).await.status, 204);
    let shown = w.show(&id).await;
    assert_eq!(
        (&shown["health_status"], &shown["coe_version"]),
        (&json!("UNHEALTHY"), &json!("20.10.24"))
    );
    let reason = &shown["health_status_reason"];
    assert_eq!(
        reason[format!("{}.Ready", node_name(&w, "node", "1"))],
        "False"
    );
    assert!(reason["ipvs"].as_str().unwrap().contains("dnsrr"));
}

#[tokio::test]
async fn certificates_are_shown_signed_and_rotated() {
    let w = Fixture::new().await;
    let id = built(&w).await;
    let ca = w.call(ALICE, "GET", "/v1/certificates/c1", None).await;
    assert_eq!((ca.status, &ca.body["cluster_uuid"]), (200, &json!(id)));
    let pem = ca.body["pem"].as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.ends_with('\n'));
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    let body = json!({ "cluster_uuid": "c1", "csr": csr });
    let got = w.call(ALICE, "POST", "/v1/certificates", Some(body)).await;
    assert_eq!(got.status, 201, "{}", got.body);
    let got = w
        .call(
            ALICE,
            "POST",
            "/v1/certificates",
            Some(json!({ "cluster_uuid": "zz", "csr": csr })),
        )
        .await;
    assert_eq!(got.status, 400);
    let got = w
        .call(
            ALICE,
            "POST",
            "/v1/certificates",
            Some(json!({ "cluster_uuid": "c1", "csr": "junk" })),
        )
        .await;
    assert_eq!(got.status, 400);
    let text = got.body["errors"][0]["detail"].as_str().unwrap();
    assert!(text.starts_with("Received invalid csr"), "{text}");

    assert_eq!(
        w.call(ALICE, "PATCH", "/v1/certificates/c1", None)
            .await
            .status,
        202
    );
    w.settle().await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_IN_PROGRESS");
    let manager = session("master0");
    give_servers(&w);
    let task = w.node(&manager, "GET", "tasks?wait=1", Value::Null).await;
    assert_eq!(task.body["kind"], "reload-ca");
    let signed = w.node(&manager, "POST", "csr", json!({ "csr": csr })).await;
    let new = w.call(ALICE, "GET", "/v1/certificates/c1", None).await;
    assert_eq!(
        signed.body["ca"].as_str().unwrap().trim(),
        new.body["pem"].as_str().unwrap()
    );
    assert_ne!(new.body["pem"], ca.body["pem"]);
    let path = format!("tasks/{}", task.body["id"].as_str().unwrap());
    w.node(&manager, "POST", &path, json!({ "ok": true, "log": "" }))
        .await;
    w.settle().await;
    assert_eq!(w.show(&id).await["status"], "UPDATE_COMPLETE");
}

/// Compute has a server for each node, with one address.
fn give_servers(w: &Fixture) {
    let nodes = [("master", "0"), ("node", "0"), ("node", "1")];
    let servers = nodes.iter().zip(2..).map(|((word, index), last)| {
        let mut server = server(&node_name(w, word, index));
        server.addresses = vec![format!("10.64.0.{last}").parse().unwrap()];
        server
    });
    *w.things.servers.lock().unwrap() = servers.collect();
}

#[tokio::test]
async fn nodes_of_a_swarm_may_serve_under_their_own_names_and_be_no_clients() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    for (word, index, host) in [("master", "0", 9), ("node", "0", 2)] {
        // The worker claims the address of the manager.
        let body = json!({ "cluster": id, "node": node_name(&w, word, index), "boot": 1,
            "token": w.token(word, index), "session": session(&format!("{word}{index}")),
            "addresses": [format!("10.64.0.{host}"), "192.0.2.1"] });
        assert_eq!(w.node("", "POST", "hello", body).await.status, 200);
    }
    let worker = session("node0");
    // The request asks for a foreign name and an administrator's subject.
    let ask = json!({ "csr": csr() });
    let early = w.node(&worker, "POST", "csr", ask.clone()).await;
    assert_eq!(early.status, 503, "no server yet: {}", early.body);
    give_servers(&w);

    let got = w.node(&worker, "POST", "csr", ask.clone()).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let pem = |got: &TestResponse, of: &str| got.body[of].as_str().unwrap().to_owned();
    let own = read(&pem(&got, "cert"), &pem(&got, "ca"));
    let name = node_name(&w, "node", "0");
    assert_eq!(own.subject, format!("CN={name}"));
    assert_eq!(own.names, ["10.64.0.3".to_owned(), name]);
    assert!(own.server && !own.client);

    let got = w.node(&session("master0"), "POST", "csr", ask).await;
    let own = read(&pem(&got, "cert"), &pem(&got, "ca"));
    let name = node_name(&w, "master", "0");
    assert_eq!(own.names, ["10.64.0.2", "127.0.0.1", &name, "localhost"]);
    assert!(own.server && !own.client);
}

#[tokio::test]
async fn the_health_shows_a_ca_that_ends_soon() {
    const DAY: Duration = Duration::from_hours(24);
    let now = std::rc::Rc::new(Steps(std::cell::Cell::new(kernel::clock::now())));
    kernel::clock::simulate(Some(now.clone()));
    let w = Fixture::new().await;
    let id = built(&w).await;
    let manager = session("master0");
    let observe = async |version: &str| {
        let body = json!({ "nodes": [], "ipvs": true, "version": version });
        let got = w.node(&manager, "POST", "observed", body).await;
        assert_eq!(got.status, 204, "{}", got.body);
        w.show(&id).await["health_status_reason"]["ca.cluster"].clone()
    };
    assert_eq!(observe("20.10.24").await, Value::Null);
    now.0.set(now.0.get() + DAY * 1770);
    let warned = observe("20.10.25").await;
    assert!(
        warned.as_str().unwrap().starts_with("expires 20"),
        "{warned}"
    );
    give_servers(&w);
    let got = w
        .node(&manager, "POST", "csr", json!({ "csr": csr() }))
        .await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert_eq!(observe("20.10.26").await, Value::Null, "renewed");
    kernel::clock::simulate(None);
}
