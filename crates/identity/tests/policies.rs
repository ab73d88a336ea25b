//! Policies, and the endpoints that they apply to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

struct Setup {
    w: Fixture,
    admin: String,
}

impl Setup {
    async fn start() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        Self { w, admin }
    }

    /// A call of the administrator.
    async fn call(&self, line: &str, status: u16) -> Value {
        self.w.call(line, &self.admin, Value::Null, status).await
    }

    async fn send(&self, line: &str, noun: &str, fields: Value, status: u16) -> Value {
        let body = json!({noun: fields});
        self.w.call(line, &self.admin, body, status).await
    }

    async fn policy(&self, blob: &str) -> String {
        let fields = json!({"type": "application/json", "blob": blob});
        let made = self.send("POST /v3/policies", "policy", fields, 201).await;
        text(&made["policy"]["id"])
    }

    async fn made(&self, noun: &str, fields: Value) -> String {
        let line = format!("POST /v3/{noun}s");
        text(&self.send(&line, noun, fields, 201).await[noun]["id"])
    }

    async fn region(&self, id: &str, parent: Option<&str>) {
        let fields = json!({"id": id, "parent_region_id": parent});
        self.send("POST /v3/regions", "region", fields, 201).await;
    }

    async fn endpoint(&self, service: &str, region: &str) -> String {
        let fields = json!({"service_id": service, "region_id": region, "interface": "public",
            "url": "http://h"});
        self.made("endpoint", fields).await
    }

    /// The policy of an endpoint; none if it has none.
    async fn policy_of(&self, endpoint: &str) -> Option<String> {
        let line = format!("GET /v3/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy");
        let got = self.w.send(&line, &self.admin, "", "").await;
        if got.status == 404 {
            let want = format!("No policy is associated with endpoint {endpoint}.");
            assert_eq!(got.body["error"]["message"], json!(want));
            return None;
        }
        Some(text(&got.body["policy"]["id"]))
    }

    /// The endpoints of a policy.
    async fn endpoints_of(&self, policy: &str) -> Vec<String> {
        let line = format!("GET /v3/policies/{policy}/OS-ENDPOINT-POLICY/endpoints");
        let list = self.call(&line, 200).await;
        let endpoints = list["endpoints"].as_array().unwrap().iter();
        let mut ids: Vec<String> = endpoints.map(|e| text(&e["id"])).collect();
        ids.sort();
        ids
    }
}

#[tokio::test]
async fn a_policy_is_created_listed_changed_and_deleted() {
    let s = Setup::start().await;
    let fields = json!({"type": "text", "blob": "{\"a\": 1}", "note": "x"});
    let made = s.send("POST /v3/policies", "policy", fields, 201).await;
    let id = text(&made["policy"]["id"]);
    let own = format!("http://{}/identity/v3/policies/{id}", s.w.at);
    let want = json!({"id": id, "type": "text", "blob": "{\"a\": 1}", "note": "x",
        "links": {"self": own}});
    assert_eq!(made["policy"], want);
    let one = format!("/v3/policies/{id}");
    assert_eq!(s.call(&format!("GET {one}"), 200).await, made);
    let other = s.policy("b").await;
    for (query, want) in [
        ("", vec![&id, &other]),
        ("?type=text", vec![&id]),
        ("?type__startswith=app", vec![&other]),
    ] {
        let list = s.call(&format!("GET /v3/policies{query}"), 200).await;
        let policies = list["policies"].as_array().unwrap().iter();
        let mut got: Vec<String> = policies.map(|p| text(&p["id"])).collect();
        let mut want = want;
        got.sort();
        want.sort();
        assert_eq!(got.iter().collect::<Vec<_>>(), want, "{query}");
    }
    let line = format!("PATCH {one}");
    let changed = s.send(&line, "policy", json!({"type": "other"}), 200).await;
    let policy = &changed["policy"];
    assert_eq!(
        (&policy["type"], &policy["note"]),
        (&json!("other"), &json!("x"))
    );
    for fields in [
        json!({"type": "text"}),
        json!({"blob": "b"}),
        json!({"type": "x".repeat(256), "blob": "b"}),
        json!({"type": "text", "blob": {}}),
        json!({"type": "text", "blob": "b".repeat(65_536)}),
    ] {
        s.send("POST /v3/policies", "policy", fields, 400).await;
    }
    let demo = s.w.login("demo", &s.w.demo_password, project("demo")).await;
    let demo = demo.token();
    for id in [id.as_str(), "unknown"] {
        let line = format!("GET /v3/policies/{id}");
        s.w.call(&line, &demo, Value::Null, 403).await;
    }
    s.call(&format!("DELETE {one}"), 204).await;
    let gone = s.call(&format!("DELETE {one}"), 404).await;
    let want = format!("Could not find policy: {id}.");
    assert_eq!(gone["error"]["message"], json!(want));
}

#[tokio::test]
async fn the_nearest_policy_applies_to_an_endpoint() {
    let s = Setup::start().await;
    s.region("earth", None).await;
    s.region("europe", Some("earth")).await;
    let service = s.made("service", json!({"type": "image"})).await;
    let endpoint = s.endpoint(&service, "europe").await;
    let elsewhere = s.endpoint(&service, "RegionOne").await;
    assert_eq!(s.policy_of(&endpoint).await, None);

    let base = |policy: &str| format!("/v3/policies/{policy}/OS-ENDPOINT-POLICY");
    let of_service = s.policy("s").await;
    let service_link = format!("{}/services/{service}", base(&of_service));
    let missing = s.call(&format!("GET {service_link}"), 404).await;
    assert_eq!(
        missing["error"]["message"],
        "Could not find policy association."
    );
    s.call(&format!("PUT {service_link}"), 204).await;
    s.call(&format!("GET {service_link}"), 204).await;
    s.call(&format!("HEAD {service_link}"), 204).await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&of_service));
    let mut both = vec![endpoint.clone(), elsewhere.clone()];
    both.sort();
    assert_eq!(s.endpoints_of(&of_service).await, both);

    let of_region = s.policy("r").await;
    let region_link = format!("{}/services/{service}/regions/earth", base(&of_region));
    s.call(&format!("PUT {region_link}"), 204).await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&of_region));
    assert_eq!(s.policy_of(&elsewhere).await.as_ref(), Some(&of_service));
    assert_eq!(s.endpoints_of(&of_region).await, [endpoint.as_str()]);

    let own = s.policy("e").await;
    let own_link = format!("{}/endpoints/{endpoint}", base(&own));
    s.call(&format!("PUT {own_link}"), 204).await;
    s.call(&format!("PUT {own_link}"), 204).await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&own));

    // A target has one policy.
    let next = s.policy("n").await;
    let next_link = format!("{}/endpoints/{endpoint}", base(&next));
    s.call(&format!("PUT {next_link}"), 204).await;
    s.call(&format!("GET {own_link}"), 404).await;
    s.call(&format!("DELETE {own_link}"), 204).await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&next));
    s.call(&format!("DELETE {next_link}"), 204).await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&of_region));

    s.call(&format!("DELETE /v3/policies/{of_region}"), 204)
        .await;
    assert_eq!(s.policy_of(&endpoint).await.as_ref(), Some(&of_service));
    for line in [
        format!("PUT {}/endpoints/unknown", base(&own)),
        format!("PUT {}/services/unknown", base(&own)),
        format!("PUT {}/services/{service}/regions/unknown", base(&own)),
        format!("PUT {}/services/{service}", base("unknown")),
        "GET /v3/endpoints/unknown/OS-ENDPOINT-POLICY/policy".to_owned(),
        "GET /v3/policies/unknown/OS-ENDPOINT-POLICY/endpoints".to_owned(),
    ] {
        s.call(&line, 404).await;
    }

    // Links end with what they name.
    s.call(&format!("PUT {next_link}"), 204).await;
    s.call(&format!("DELETE /v3/services/{service}"), 204).await;
    let sql = "SELECT policy_id AS found FROM identity_policy_link";
    assert!(s.w.stored(sql).await.is_empty());
}
