//! Roles that imply others.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

#[tokio::test]
async fn an_implied_role_is_in_tokens_until_it_is_no_longer_implied() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let call = async |line: &str, status: u16| w.call(line, &admin, Value::Null, status).await;
    let made = async |noun: &str, fields: Value| {
        let line = format!("POST /v3/{noun}s");
        text(&w.call(&line, &admin, json!({noun: fields}), 201).await[noun]["id"])
    };
    let (chief, clerk) = (
        made("role", json!({"name": "chief"})).await,
        made("role", json!({"name": "clerk"})).await,
    );
    let (web, ann) = (
        made("project", json!({"name": "web"})).await,
        made("user", json!({"name": "ann", "password": "p"})).await,
    );
    call(
        &format!("PUT /v3/projects/{web}/users/{ann}/roles/{chief}"),
        204,
    )
    .await;
    let roles = async || {
        let got = w.login("ann", "p", project("web")).await;
        let roles = got.body["token"]["roles"].as_array().unwrap().clone();
        let names: Vec<_> = roles.iter().map(|r| text(&r["name"])).collect();
        names.join(" ")
    };
    assert_eq!(roles().await, "chief");

    let one = format!("/v3/roles/{chief}/implies/{clerk}");
    let absent = format!("{chief} does not imply {clerk}.");
    let got = call(&format!("GET {one}"), 404).await;
    assert_eq!(got["error"]["message"], absent.as_str());
    let reference = |id: &str, name: &str| {
        let link = format!("http://{}/identity/v3/roles/{id}", w.at);
        json!({"id": id, "name": name, "links": {"self": link}})
    };
    let (of_chief, of_clerk) = (reference(&chief, "chief"), reference(&clerk, "clerk"));
    let want = json!({"role_inference": {"prior_role": of_chief, "implies": of_clerk}});
    assert_eq!(call(&format!("PUT {one}"), 201).await, want);
    assert_eq!(call(&format!("GET {one}"), 200).await, want);
    call(&format!("HEAD {one}"), 204).await;
    let got = call(&format!("PUT {one}"), 409).await;
    assert_eq!(
        got["error"]["message"],
        "Conflict occurred attempting to store implied_role - Duplicate entry."
    );
    let list = call(&format!("GET /v3/roles/{chief}/implies"), 200).await;
    let want = json!({"prior_role": of_chief, "implies": [of_clerk]});
    assert_eq!(list["role_inference"], want);
    let all = call("GET /v3/role_inferences", 200).await;
    assert!(
        all["role_inferences"].as_array().unwrap().contains(&want),
        "{all}"
    );
    assert_eq!(roles().await, "chief clerk");

    // Cycles give each role once.
    call(&format!("PUT /v3/roles/{clerk}/implies/{chief}"), 201).await;
    call(&format!("PUT /v3/roles/{chief}/implies/{chief}"), 201).await;
    assert_eq!(roles().await, "chief clerk");

    // No role gives the rights of an administrator, and what is implied exists.
    let built_in = w.roles(&admin).await["admin"].clone();
    let got = call(&format!("PUT /v3/roles/{chief}/implies/{built_in}"), 403).await;
    let want = format!("{built_in} cannot be an implied roles.");
    assert_eq!(got["error"]["message"], want.as_str());
    for line in [format!("{chief}/implies/no"), format!("no/implies/{chief}")] {
        let got = call(&format!("PUT /v3/roles/{line}"), 404).await;
        assert_eq!(got["error"]["message"], "Could not find role: no.");
    }
    let demo = w
        .login("demo", &w.demo_password, project("demo"))
        .await
        .token();
    for verb in ["GET", "PUT", "DELETE"] {
        w.call(&format!("{verb} {one}"), &demo, Value::Null, 403)
            .await;
    }

    let token = w.login("ann", "p", project("web")).await.token();
    call(&format!("DELETE {one}"), 204).await;
    let got = call(&format!("DELETE {one}"), 404).await;
    assert_eq!(got["error"]["message"], absent.as_str());
    assert_eq!(roles().await, "chief");
    let shown = w.send("GET /v3/auth/tokens", &admin, &token, "").await;
    assert_eq!(shown.body["token"]["roles"].as_array().unwrap().len(), 1);
    // The inferences of a deleted role are gone.
    call(&format!("DELETE /v3/roles/{clerk}"), 204).await;
    let all = call("GET /v3/role_inferences", 200).await;
    assert!(!all.to_string().contains(&clerk), "{all}");
}
