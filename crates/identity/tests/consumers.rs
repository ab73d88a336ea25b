//! Consumers of OAuth.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

const ALL: &str = "/v3/OS-OAUTH1/consumers";

#[tokio::test]
async fn a_consumer_is_created_listed_changed_and_deleted() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let send = async |line: &str, fields: Value, status: u16| {
        let body = json!({"consumer": fields});
        w.call(line, &admin, body, status).await
    };
    let call = async |line: &str, status: u16| w.call(line, &admin, Value::Null, status).await;
    let post = format!("POST {ALL}");
    let made = send(&post, json!({"description": "d", "color": "red"}), 201).await;
    let id = text(&made["consumer"]["id"]);
    let secret = text(&made["consumer"]["secret"]);
    assert_eq!((id.len(), secret.len()), (32, 32));
    let one = format!("{ALL}/{id}");
    let own = format!("http://{}/identity{one}", w.at);
    let mut want = json!({"id": id, "description": "d", "color": "red", "links": {"self": own}});
    // The secret is shown once, and sealed.
    assert_eq!(call(&format!("GET {one}"), 200).await["consumer"], want);
    let sql = "SELECT secret_sealed AS found FROM identity_oauth_consumer";
    let stored = w.stored(sql).await;
    assert!(stored[0].starts_with("jbs1.") && !stored[0].contains(&secret));
    assert_eq!(w.unsealed().await, [secret.as_str()]);
    let other = send(&post, json!({}), 201).await;
    assert_eq!(other["consumer"]["description"], Value::Null);
    let listed = call(&format!("GET {ALL}"), 200).await;
    let listed = listed["consumers"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&want));

    let patch = format!("PATCH {one}");
    let changed = send(&patch, json!({"description": "new"}), 200).await;
    want["description"] = json!("new");
    assert_eq!(changed["consumer"], want);
    assert_eq!(w.stored(sql).await.len(), 2);
    assert!(w.stored(sql).await.contains(&stored[0]));
    for line in [&post, &patch] {
        send(line, json!({"secret": "chosen"}), 400).await;
        send(line, json!({"description": 1}), 400).await;
        send(line, json!({"description": "x".repeat(65_536)}), 400).await;
    }
    send(&patch, json!({"id": "other"}), 400).await;

    let demo = w.login("demo", &w.demo_password, project("demo")).await;
    let demo = demo.token();
    for path in [ALL, one.as_str(), "/v3/OS-OAUTH1/consumers/unknown"] {
        w.call(&format!("GET {path}"), &demo, Value::Null, 403)
            .await;
    }
    call(&format!("DELETE {one}"), 204).await;
    for verb in ["GET", "DELETE"] {
        let gone = call(&format!("{verb} {one}"), 404).await;
        assert_eq!(gone["error"]["message"], "Consumer not found");
    }
}
