//! What agents may send: within bounds, for themselves only.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::fixture::*;
use super::nodes::{built, node_name, session};

/// Posts bytes that need not be JSON.
async fn post(w: &Fixture, session: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/bootstrap/v2/{path}"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {session}"))
        .body(body.into())
        .unwrap();
    let answer = w.bootstrap.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn observed(version: &str) -> Value {
    json!({ "nodes": [], "ipvs": true, "version": version })
}

#[tokio::test]
async fn nul_is_refused_by_field_on_every_database() {
    for test in testkit::every_database(&crate::migrations()).await {
        let w = Fixture::on(test.db.clone(), tempfile::tempdir().unwrap());
        let id = built(&w).await;
        let manager = session("master0");
        let hello = |key: &str| {
            let mut body = json!({ "cluster": id, "node": node_name(&w, "master", "0"),
                "token": w.token("master", "0"), "session": manager, "addresses": [], "boot": 1 });
            body[key] = json!("a\0b");
            body
        };
        for (path, body, field) in [
            ("session", hello("cluster"), "cluster"),
            ("session", hello("node"), "node"),
            (
                "steps",
                json!({ "steps": [{ "name": "ok", "status": "ok", "at_micros": 1, "log": "\0" }] }),
                "steps[0].log",
            ),
            ("observed", observed("\0"), "version"),
            ("tasks/1", json!({ "ok": true, "log": "\0" }), "log"),
            ("ready", json!({ "node_id": "\0" }), "node_id"),
            ("csr", json!({ "csr": "\0" }), "csr"),
            ("unsupported", json!({ "frame": "\0", "why": "" }), "frame"),
        ] {
            let (status, answer) = post(&w, &manager, path, body.to_string()).await;
            assert_eq!(status, 400, "{}: {path}: {answer}", test.name);
            assert_eq!(
                answer,
                json!({ "error": format!("{field}: the character NUL is not allowed") }),
                "{}: {path}",
                test.name
            );
        }
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_errors_are_problems() {
    let w = Fixture::new().await;
    built(&w).await;
    let manager = session("master0");
    let long = observed(&"x".repeat(65)).to_string();
    let (status, answer) = post(&w, &manager, "observed", long).await;
    assert_eq!(status, 400);
    let why = "version: 65 bytes; at most 64 are allowed";
    assert_eq!(answer, json!({ "error": why }));
    for junk in ["{", "[]", "\u{fffd}", r#"{"node_id":7}"#] {
        let (status, answer) = post(&w, &manager, "ready", junk).await;
        assert_eq!(status, 400, "{junk}");
        let why = answer["error"].as_str().unwrap();
        assert!(why.starts_with("body: "), "{why}");
    }
    // Fields of a newer agent are ignored.
    let newer = json!({ "node_id": "x", "later": "\0" }).to_string();
    assert_eq!(post(&w, &manager, "ready", newer).await.0, 204);

    let large = "x".repeat(4 * 1024 + 1);
    let (status, answer) = post(&w, &manager, "ready", large.clone()).await;
    let why = answer["error"].as_str().unwrap();
    assert!(
        status == 413 && why.contains("4096 bytes"),
        "{status} {why}"
    );
    // The same if the length is not announced.
    let parts = futures_util::stream::iter([Ok::<_, std::io::Error>(large)]);
    let (status, _) = post(&w, &manager, "ready", Body::from_stream(parts)).await;
    assert_eq!(status, 413);

    // An unknown session is refused whatever it sends.
    let mut report = observed("1");
    report["problem"] = json!("x".repeat(1024 * 1024));
    let report = report.to_string();
    let (status, _) = post(&w, "unknown", "observed", report.clone()).await;
    assert_eq!(status, 401);
    let (status, answer) = post(&w, &manager, "observed", report).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn the_addresses_to_join_through_are_the_newest() {
    let w = Fixture::new().await;
    built(&w).await;
    let manager = session("master0");
    for host in 1..=20 {
        let news = json!({ "remote_addr": format!("10.64.1.{host}:2377"),
            "worker_token": "W", "manager_token": "M" });
        let got = w.node(&manager, "POST", "published", news).await;
        assert_eq!(got.status, 204, "{}", got.body);
    }
    let ticket = w.node(&session("node0"), "GET", "join", Value::Null).await;
    let all = ticket.body["remote_addrs"].as_array().unwrap();
    assert_eq!((all.len(), &all[15]), (16, &json!("10.64.1.20:2377")));
}
