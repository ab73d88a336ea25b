//! Access rules: an application credential can be used for some requests only.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Answer, Fixture, project, text};
use serde_json::{Value, json};

struct Setup {
    w: Fixture,
    admin: String,
    /// A member of the project demo.
    user: String,
    token: String,
}

impl Setup {
    async fn new() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        let got = w.login("demo", &w.demo_password, project("demo")).await;
        let (token, user) = (got.token(), text(&got.body["token"]["user"]["id"]));
        Self {
            w,
            admin,
            user,
            token,
        }
    }

    fn path(&self, noun: &str) -> String {
        format!("/v3/users/{}/{noun}", self.user)
    }

    async fn create(&self, name: &str, rules: Value, status: u16) -> Value {
        let line = format!("POST {}", self.path("application_credentials"));
        let body = json!({"application_credential": {"name": name, "access_rules": rules}});
        let mut made = self.w.call(&line, &self.token, body, status).await;
        made["application_credential"].take()
    }

    async fn login(&self, credential: &Value) -> Answer {
        let proof = json!({"methods": ["application_credential"],
            "application_credential": {"id": credential["id"], "secret": credential["secret"]}});
        self.w.auth(proof, Value::Null).await
    }

    async fn status(&self, line: &str, token: &str) -> u16 {
        self.w.send(line, token, "", "").await.status
    }

    async fn rules(&self) -> Vec<Value> {
        let line = format!("GET {}", self.path("access_rules"));
        let mut listed = self.w.call(&line, &self.token, Value::Null, 200).await;
        listed["access_rules"].as_array_mut().unwrap().split_off(0)
    }
}

fn rule(method: &str, path: &str) -> Value {
    json!({"service": "identity", "path": path, "method": method})
}

#[tokio::test]
async fn a_token_can_be_used_as_the_rules_say() {
    let s = Setup::new().await;
    let rules = json!([
        rule("GET", "/v3/users/{user_id}"),
        rule("GET", "/identity/v3/auth/**"),
        {"service": "compute", "path": "/v3/users/*/projects", "method": "GET"},
    ]);
    let made = s.create("ci", rules, 201).await;
    assert_eq!(made["access_rules"].as_array().unwrap().len(), 3);
    let got = s.login(&made).await;
    let token = got.token();
    let shown = &got.body["token"]["application_credential"];
    assert_eq!(shown["access_rules"], made["access_rules"]);
    let user = s.path("");
    let user = user.trim_end_matches('/');
    for (line, want) in [
        (format!("GET {user}"), 200),
        (format!("GET {user}/projects"), 401),
        (format!("HEAD {user}"), 401),
        (format!("PATCH {user}"), 401),
        (format!("DELETE {user}"), 401),
        (format!("GET {user}%2Fprojects"), 403),
        ("GET /v3/users".to_owned(), 401),
        ("GET /v3/auth/projects".to_owned(), 200),
        ("GET /v3/auth/catalog".to_owned(), 200),
        ("GET /v3/regions".to_owned(), 401),
        // What needs no token.
        ("GET /v3".to_owned(), 200),
    ] {
        assert_eq!(s.status(&line, &token).await, want, "{line}");
    }
    // Without rules there is no restriction; the openstack client sends an empty list.
    for (name, rules) in [("empty", json!([])), ("null", Value::Null)] {
        let made = s.create(name, rules, 201).await;
        assert!(made.get("access_rules").is_none(), "{made}");
        let got = s.login(&made).await;
        let shown = &got.body["token"]["application_credential"];
        assert!(shown.get("access_rules").is_none(), "{shown}");
        assert_eq!(s.status("GET /v3/regions", &got.token()).await, 200);
    }
}

#[tokio::test]
async fn a_service_validates_a_token_with_rules_only_if_it_enforces_them() {
    let s = Setup::new().await;
    let made = s
        .create("ci", json!([rule("GET", "/v3/regions")]), 201)
        .await;
    let token = s.login(&made).await.token();
    for (version, want) in [
        (None, 404),
        (Some("0.9"), 404),
        (Some("one"), 404),
        (Some("1.0"), 200),
        (Some("2"), 200),
    ] {
        let mut headers = vec![("X-Subject-Token", token.as_str())];
        headers.extend(version.map(|v| ("OpenStack-Identity-Access-Rules", v)));
        for caller in [&s.admin, &token] {
            let line = "GET /v3/auth/tokens";
            let got = s.w.send_with(line, caller, &headers, "").await;
            assert_eq!(got.status, want, "{version:?}: {}", got.body);
        }
    }
    // The rules do not permit to revoke it with itself.
    let line = "DELETE /v3/auth/tokens";
    assert_eq!(s.w.send(line, &token, &token, "").await.status, 401);
    assert_eq!(s.w.send(line, &s.admin, &token, "").await.status, 204);
    assert_eq!(s.status("GET /v3/regions", &token).await, 401);
}

#[tokio::test]
async fn a_token_with_rules_creates_no_credential_with_others() {
    let s = Setup::new().await;
    let path = s.path("application_credentials");
    let line = format!("POST {path}");
    let own = [rule("POST", &path), rule("GET", "/v3/regions")];
    let fields = json!({"name": "ci", "unrestricted": true, "access_rules": own});
    let body = json!({"application_credential": fields});
    let made = s.w.call(&line, &s.token, body, 201).await;
    let token = s.login(&made["application_credential"]).await.token();
    let other = s
        .create("other", json!([rule("PUT", "/v3/regions")]), 201)
        .await;
    let other = &other["access_rules"][0]["id"];
    for (at, (rules, want)) in [
        (Value::Null, 403),
        (json!([]), 403),
        (json!([own[1], rule("GET", "/v3/services")]), 403),
        (json!([rule("GET", "/v3/**")]), 403),
        (json!([{"id": other}]), 403),
        (json!([own[1]]), 201),
        (json!([own[0], own[1]]), 201),
    ]
    .into_iter()
    .enumerate()
    {
        let fields = json!({"name": format!("c{at}"), "access_rules": rules});
        let body = json!({"application_credential": fields});
        s.w.call(&line, &token, body, want).await;
    }
    // A refused request leaves no rules behind.
    assert_eq!(s.rules().await.len(), 3);
}

#[tokio::test]
async fn equal_rules_are_one_rule_which_is_deleted_when_no_credential_has_it() {
    let s = Setup::new().await;
    let (get, put) = (rule("GET", "/v3/regions"), rule("PUT", "/v3/regions"));
    let first = s.create("first", json!([get, put, get]), 201).await;
    let rules = s.rules().await;
    assert_eq!(rules.len(), 2);
    assert_eq!(first["access_rules"].as_array().unwrap().len(), 2);
    let own = format!("{}/{}", s.path("access_rules"), text(&rules[0]["id"]));
    let link = format!("http://{}/identity{own}", s.w.at);
    assert_eq!(rules[0]["links"], json!({"self": link}));
    assert_eq!(rules[0]["path"], "/v3/regions");
    assert!(rules[0].get("user_id").is_none());
    let shown =
        s.w.call(&format!("GET {own}"), &s.token, Value::Null, 200)
            .await;
    assert_eq!(shown["access_rule"], rules[0]);
    let line = format!("GET {}?method=PUT", s.path("access_rules"));
    let listed = s.w.call(&line, &s.token, Value::Null, 200).await;
    assert_eq!(listed["access_rules"], json!([rules[1]]));

    let second = s
        .create("second", json!([{"id": rules[0]["id"]}]), 201)
        .await;
    assert_eq!(second["access_rules"][0]["id"], rules[0]["id"]);
    assert_eq!(second["access_rules"][0]["path"], "/v3/regions");
    assert_eq!(s.rules().await, rules);
    let credentials = s.path("application_credentials");
    let line = format!("DELETE {own}");
    for made in [&first, &second] {
        let got = s.w.call(&line, &s.token, Value::Null, 403).await;
        assert_eq!(got["error"]["message"], "May not delete access rule in use");
        let credential = format!("DELETE {credentials}/{}", text(&made["id"]));
        s.w.call(&credential, &s.token, Value::Null, 204).await;
    }
    assert_eq!(s.rules().await, rules);
    s.w.call(&line, &s.token, Value::Null, 204).await;
    s.w.call(&line, &s.token, Value::Null, 404).await;
    assert_eq!(s.rules().await, rules[1..]);
}

#[tokio::test]
async fn malformed_rules_are_refused() {
    let s = Setup::new().await;
    let long = format!("/{}", "x".repeat(225));
    for (at, rules) in [
        json!("all"),
        json!({}),
        json!(["GET"]),
        json!([{}]),
        json!([{"id": 5}]),
        json!([{"id": "x", "method": "GET"}]),
        json!([{"service": "identity", "path": "/v3"}]),
        json!([{"service": "identity", "path": "/v3", "method": "GET", "more": "x"}]),
        json!([rule("get", "/v3")]),
        json!([rule("OPTIONS", "/v3")]),
        json!([rule("GET", "v3")]),
        json!([rule("GET", &long)]),
        json!([rule("GET", &"/*".repeat(9))]),
        json!([{"service": "", "path": "/v3", "method": "GET"}]),
        json!([{"service": "a b", "path": "/v3", "method": "GET"}]),
        json!([{"service": "x".repeat(65), "path": "/v3", "method": "GET"}]),
        Value::from(vec![rule("GET", "/v3"); 101]),
    ]
    .into_iter()
    .enumerate()
    {
        s.create(&format!("c{at}"), rules, 400).await;
    }
    s.create("unknown", json!([{"id": "unknown"}]), 404).await;
    assert!(s.rules().await.is_empty());
}

#[tokio::test]
async fn the_rules_of_a_user_are_not_those_of_another() {
    let s = Setup::new().await;
    s.create("ci", json!([rule("GET", "/v3/regions")]), 201)
        .await;
    let rules = s.rules().await;
    let id = text(&rules[0]["id"]);
    let scope = json!({"system": {"all": true}});
    let system = s.w.login("admin", &s.w.admin_password, scope).await.token();
    let other =
        s.w.call("GET /v3/users?name=admin", &s.admin, Value::Null, 200)
            .await;
    let other = format!("/v3/users/{}", text(&other["users"][0]["id"]));
    // Another user neither sees nor uses it.
    let all = s.path("access_rules");
    for (token, line, want) in [
        (&s.admin, format!("GET {all}"), 403),
        (&s.admin, format!("GET {all}/{id}"), 403),
        (&s.admin, format!("DELETE {all}/{id}"), 403),
        (&s.admin, format!("GET {other}/access_rules/{id}"), 404),
        (&s.admin, format!("DELETE {other}/access_rules/{id}"), 404),
        (&s.token, format!("GET {other}/access_rules"), 403),
        (&system, format!("GET {all}/{id}"), 200),
    ] {
        assert_eq!(s.status(&line, token).await, want, "{line}");
    }
    let body = json!({"application_credential": {"name": "x", "access_rules": [{"id": id}]}});
    let line = format!("POST {other}/application_credentials");
    s.w.call(&line, &s.admin, body, 404).await;
    // Rules end with their user.
    let line = format!("DELETE /v3/users/{}", s.user);
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    let line = format!("GET {all}");
    let listed = s.w.call(&line, &system, Value::Null, 200).await;
    assert_eq!(listed["access_rules"], json!([]));
}
