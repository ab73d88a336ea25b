//! The configuration of domains: stored and shown, apart from the sensitive options.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

struct Setup {
    w: Fixture,
    admin: String,
    domain: String,
}

impl Setup {
    async fn start() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        let body = json!({"domain": {"name": "acme"}});
        let made = w.call("POST /v3/domains", &admin, body, 201).await;
        let domain = text(&made["domain"]["id"]);
        Self { w, admin, domain }
    }

    /// A call of the administrator for a part of the configuration.
    async fn call(&self, verb: &str, part: &str, config: Value, status: u16) -> Value {
        let body = match config {
            Value::Null => Value::Null,
            config => json!({"config": config}),
        };
        let line = format!("{verb} /v3/domains/{}/config{part}", self.domain);
        self.w.call(&line, &self.admin, body, status).await
    }

    async fn get(&self, part: &str, status: u16) -> Value {
        self.call("GET", part, Value::Null, status).await
    }
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_configuration_is_stored_shown_changed_and_deleted() {
    let s = Setup::start().await;
    let missing = s.get("", 404).await;
    assert_eq!(
        message(&missing),
        format!(
            "Could not find any options in domain configuration for domain {}.",
            s.domain
        )
    );
    let config = json!({"identity": {"driver": "ldap"},
        "ldap": {"url": "ldap://host", "pool_size": 5}});
    let made = s.call("PUT", "", config.clone(), 201).await;
    assert_eq!(made["config"], config);
    assert_eq!(s.get("", 200).await, made);
    let group = s.get("/ldap", 200).await;
    assert_eq!(group["config"], json!({"ldap": config["ldap"]}));
    let option = s.get("/ldap/url", 200).await;
    assert_eq!(option["config"], json!({"url": "ldap://host"}));
    s.get("/ldap/user", 404).await;

    // The answer of an update is the whole configuration.
    let changed = s
        .call("PATCH", "", json!({"ldap": {"user": "cn=admin"}}), 200)
        .await;
    let want = json!({"identity": {"driver": "ldap"},
        "ldap": {"url": "ldap://host", "pool_size": 5, "user": "cn=admin"}});
    assert_eq!(changed["config"], want);
    let changed = s
        .call("PATCH", "/ldap", json!({"ldap": {"url": "x"}}), 200)
        .await;
    assert_eq!(changed["config"]["ldap"]["url"], "x");
    assert_eq!(changed["config"]["ldap"]["pool_size"], 5);
    let changed = s.call("PATCH", "/ldap/url", json!({"url": "y"}), 200).await;
    assert_eq!(changed["config"]["ldap"]["url"], "y");

    // PUT replaces everything.
    let config = json!({"identity": {"driver": "sql", "list_limit": 9}});
    let replaced = s.call("PUT", "", config.clone(), 200).await;
    assert_eq!(replaced["config"], config);
    s.get("/ldap", 404).await;

    s.call("DELETE", "/identity/driver", Value::Null, 204).await;
    s.call("DELETE", "/identity/driver", Value::Null, 404).await;
    s.get("/identity/driver", 404).await;
    s.call("DELETE", "/ldap", Value::Null, 404).await;
    s.call("DELETE", "/identity", Value::Null, 204).await;
    s.get("", 404).await;
    s.call("DELETE", "", Value::Null, 204).await;
}

#[tokio::test]
async fn a_sensitive_option_is_sealed_and_never_shown() {
    let s = Setup::start().await;
    let config = json!({"ldap": {"url": "u", "password": "hidden"}});
    let made = s.call("PUT", "", config, 201).await;
    assert_eq!(made["config"], json!({"ldap": {"url": "u"}}));
    assert_eq!(s.get("", 200).await, made);
    s.get("/ldap/password", 404).await;
    let sql = "SELECT value_sealed AS found FROM identity_domain_secret";
    let stored = s.w.stored(sql).await;
    assert!(stored[0].starts_with("jbs1.") && !stored[0].contains("hidden"));
    let changed = s
        .call("PATCH", "/ldap/password", json!({"password": "other"}), 200)
        .await;
    assert_eq!(changed["config"], json!({"ldap": {"url": "u"}}));
    assert_ne!(s.w.stored(sql).await, stored);
    assert_eq!(s.w.unsealed().await, ["\"other\""]);
    s.call("DELETE", "/ldap/password", Value::Null, 204).await;
    assert!(s.w.stored(sql).await.is_empty());
}

#[tokio::test]
async fn other_options_and_inconsistent_updates_are_refused() {
    let s = Setup::start().await;
    let refused = async |verb: &str, part: &str, config: Value, status: u16| {
        let got = s.call(verb, part, config, status).await;
        message(&got).to_owned()
    };
    let invalid = "Invalid domain specific configuration: ";
    assert_eq!(
        refused("PUT", "", json!({}), 403).await,
        format!("{invalid}No options specified.")
    );
    assert_eq!(
        refused("PUT", "", json!({"token": {"expiration": 5}}), 403).await,
        format!("{invalid}Group token is not supported for domain specific configurations.")
    );
    assert_eq!(
        refused("PUT", "", json!({"ldap": {"urls": 5}}), 403).await,
        format!(
            "{invalid}Option urls in group ldap is not supported for domain specific configurations."
        )
    );
    refused("PUT", "", json!({"ldap": "url"}), 403).await;
    refused("PUT", "", json!([]), 400).await;
    let long = refused("PUT", "", json!({"ldap": {"user": "u".repeat(8192)}}), 400).await;
    assert!(!long.contains("uuu"), "{long}");
    refused("GET", "/token", Value::Null, 403).await;
    refused("GET", "/ldap/urls", Value::Null, 403).await;

    s.call("PUT", "", json!({"ldap": {"url": "u"}}), 201).await;
    let other = json!({"identity": {"driver": "ldap"}});
    refused("PATCH", "/ldap", other.clone(), 403).await;
    refused("PATCH", "/ldap/url", json!({"user": "u"}), 403).await;
    refused("PATCH", "/ldap/url", json!({"url": 1, "user": 2}), 403).await;
    refused("PATCH", "/identity", other, 404).await;
    refused("PATCH", "/ldap/user", json!({"user": "u"}), 404).await;

    for verb in ["GET", "PUT", "PATCH", "DELETE"] {
        let line = format!("{verb} /v3/domains/unknown/config");
        let body = match verb {
            "GET" | "DELETE" => Value::Null,
            _ => json!({"config": {"ldap": {"url": "u"}}}),
        };
        let got = s.w.call(&line, &s.admin, body, 404).await;
        assert_eq!(message(&got), "Could not find domain: unknown.");
    }
    let demo = s.w.login("demo", &s.w.demo_password, project("demo")).await;
    let demo = demo.token();
    for domain in [s.domain.as_str(), "unknown"] {
        let line = format!("GET /v3/domains/{domain}/config");
        s.w.call(&line, &demo, Value::Null, 403).await;
    }
}

#[tokio::test]
async fn defaults_and_the_rules_for_passwords_are_shown() {
    let s = Setup::start().await;
    let get = async |path: &str, status: u16| {
        let line = format!("GET /v3/domains/{path}");
        s.w.call(&line, &s.admin, Value::Null, status).await["config"].clone()
    };
    let all = get("config/default", 200).await;
    let identity = json!({"driver": "sql", "list_limit": null});
    assert_eq!(all["identity"], identity);
    assert!(all["ldap"].get("password").is_none());
    let group = get("config/identity/default", 200).await;
    assert_eq!(group, json!({"identity": identity}));
    for (name, value) in all["ldap"].as_object().unwrap() {
        let option = get(&format!("config/ldap/{name}/default"), 200).await;
        assert_eq!(option, json!({name: value}));
    }
    get("config/ldap/password/default", 403).await;
    get("config/token/default", 403).await;

    let rules = json!({"password_regex": null, "password_regex_description": null});
    let demo = s.w.login("demo", &s.w.demo_password, project("demo")).await;
    let demo = demo.token();
    let read = async |path: &str, status: u16| {
        let line = format!("GET /v3/domains/{path}");
        s.w.call(&line, &demo, Value::Null, status).await["config"].clone()
    };
    let path = "default/config/security_compliance";
    assert_eq!(read(path, 200).await, json!({"security_compliance": rules}));
    let option = read(&format!("{path}/password_regex"), 200).await;
    assert_eq!(option, json!({"password_regex": null}));
    read(&format!("{path}/lockout_duration"), 403).await;
    read(&format!("{}/config/security_compliance", s.domain), 403).await;
}

#[tokio::test]
async fn the_configuration_ends_with_the_domain() {
    let s = Setup::start().await;
    let config = json!({"ldap": {"url": "u", "password": "hidden"}});
    s.call("PUT", "", config, 201).await;
    let line = format!("PATCH /v3/domains/{}", s.domain);
    let body = json!({"domain": {"enabled": false}});
    s.w.call(&line, &s.admin, body, 200).await;
    let line = format!("DELETE /v3/domains/{}", s.domain);
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    for table in ["identity_domain_option", "identity_domain_secret"] {
        let sql = format!("SELECT domain_id AS found FROM {table}");
        assert!(s.w.stored(&sql).await.is_empty());
    }
}
