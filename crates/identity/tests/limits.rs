//! What requests cannot do: store without limit, find out about other domains, and
//! set attributes and scopes that would have no effect.

mod fixture;

use std::collections::HashSet;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

/// A token of the user `demo`, and the path of its application credentials.
async fn demo(w: &Fixture) -> (String, String, String) {
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let id = text(&got.body["token"]["user"]["id"]);
    let path = format!("/v3/users/{id}/application_credentials");
    (got.token(), id, path)
}

fn credential(fields: Value) -> Value {
    json!({"application_credential": fields})
}

#[tokio::test]
async fn a_user_has_at_most_100_application_credentials() {
    let w = Fixture::start().await;
    let (token, id, path) = demo(&w).await;
    w.store_credentials(&id, 99, "").await;
    let post = format!("POST {path}");
    w.call(&post, &token, credential(json!({"name": "last"})), 201)
        .await;
    let more = credential(json!({"name": "more"}));
    let got = w.call(&post, &token, more.clone(), 403).await;
    assert_eq!(
        got["error"]["message"],
        "Unable to create additional application credentials, maximum of 100 already exceeded for user."
    );
    w.call(&format!("DELETE {path}/c000"), &token, Value::Null, 204)
        .await;
    w.call(&post, &token, more, 201).await;
}

#[tokio::test]
async fn roles_of_an_application_credential_are_stored_once() {
    let w = Fixture::start().await;
    let (token, _, path) = demo(&w).await;
    let post = format!("POST {path}");
    let member = json!({"name": "member"});
    let body = credential(json!({"name": "a", "roles": [member, member]}));
    let made = w.call(&post, &token, body, 201).await;
    let roles = &made["application_credential"]["roles"];
    assert_eq!(roles.as_array().unwrap().len(), 1);
    let both = json!({"name": "member", "id": roles[0]["id"]});
    for roles in [
        json!(vec![member; 2000]),
        json!([both]),
        json!(["member"]),
        json!([{"name": 1}]),
        json!([{}]),
    ] {
        let body = credential(json!({"name": "b", "roles": roles}));
        w.call(&post, &token, body, 400).await;
    }
    let long = credential(json!({"name": "b", "description": "x".repeat(65_536)}));
    w.call(&post, &token, long, 400).await;
}

#[tokio::test]
async fn a_list_is_bounded_in_bytes_and_nothing_is_left_out() {
    let w = Fixture::start().await;
    let (token, id, path) = demo(&w).await;
    w.store_credentials(&id, 100, &"x".repeat(100_000)).await;
    let (mut found, mut pages) = (HashSet::new(), 0);
    let mut next = Some(path.clone());
    while let Some(path) = next {
        let got = w
            .call(&format!("GET {path}"), &token, Value::Null, 200)
            .await;
        let items = got["application_credentials"].as_array().unwrap();
        assert!(items.len() * 100_000 < 9 * 1024 * 1024);
        found.extend(items.iter().map(|c| text(&c["id"])));
        pages += 1;
        next = got["links"]["next"]
            .as_str()
            .map(|link| link.split_once("/identity").unwrap().1.to_owned());
        assert_eq!(got.get("truncated").is_some(), next.is_some());
    }
    assert_eq!((found.len(), pages), (100, 2));
}

#[tokio::test]
async fn a_parent_in_another_domain_looks_like_an_unknown_one() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let make = async |path: &str, noun: &str, fields: Value| {
        let made = w
            .call(&format!("POST {path}"), &admin, json!({noun: fields}), 201)
            .await;
        text(&made[noun]["id"])
    };
    let domain = make("/v3/domains", "domain", json!({"name": "other"})).await;
    let fields = json!({"name": "secret", "domain_id": domain});
    let foreign = make("/v3/projects", "project", fields).await;
    let own = make("/v3/projects", "project", json!({"name": "own"})).await;
    let fields = json!({"name": "boss", "password": "p"});
    let boss = make("/v3/users", "user", fields).await;
    let roles = w
        .call("GET /v3/roles?name=manager", &admin, Value::Null, 200)
        .await;
    let role = text(&roles["roles"][0]["id"]);
    let grant = format!("PUT /v3/domains/default/users/{boss}/roles/{role}");
    w.call(&grant, &admin, Value::Null, 204).await;
    let scope = json!({"domain": {"id": "default"}});
    let boss = w.login("boss", "p", scope).await.token();

    let below = |parent: &str| json!({"project": {"name": "child", "domain_id": "default", "parent_id": parent}});
    let unknown = "0123456789abcdef0123456789abcdef";
    for parent in [unknown, &foreign, &domain] {
        let got = w.call("POST /v3/projects", &boss, below(parent), 404).await;
        let message = text(&got["error"]["message"]);
        assert_eq!(message, format!("Could not find project: {parent}."));
    }
    // An administrator sees both projects, and gets Keystone's reason.
    w.call("POST /v3/projects", &admin, below(&foreign), 400)
        .await;
    w.call("POST /v3/projects", &boss, below(&own), 201).await;
}

#[tokio::test]
async fn scopes_and_methods_without_effect_are_refused() {
    let w = Fixture::start().await;
    let named = project("admin")["project"].clone();
    for scope in [
        json!({"system": {"all": false}}),
        json!({"system": {"all": "true"}}),
        json!({"system": "x"}),
        json!({"system": {}}),
        json!({"system": null}),
        json!({"system": {"all": true}, "project": named}),
        json!({"project": named, "domain": {"id": "default"}}),
        json!({"project": named, "unscoped": {}}),
        json!({"project": named, "OS-TRUST:trust": {"id": "x"}}),
        json!({"OS-TRUST:trust": {"id": 5}}),
        json!({"OS-TRUST:trust": {"id": ""}}),
        json!({"OS-TRUST:trust": {}}),
        json!({"OS-TRUST:trust": null}),
        json!({"project": null}),
        json!({"project": {}}),
        json!({"project": {"name": 5, "domain": {"id": "default"}}}),
        json!({"project": {"name": "admin", "domain": {}}}),
        json!({"project": {"name": "admin", "domain": "default"}}),
        json!({"domain": {"id": null, "name": "Default"}}),
        json!({}),
        json!("scoped"),
        json!(5),
    ] {
        let got = w.login("admin", &w.admin_password, scope.clone()).await;
        assert_eq!(got.status, 400, "{scope}: {}", got.body);
    }
    let user = json!({"name": "admin", "domain": {"id": "default"}, "password": w.admin_password});
    let with =
        |methods: Value, user: &Value| json!({"methods": methods, "password": {"user": user}});
    let mut numbered = user.clone();
    numbered["id"] = json!(5);
    for identity in [
        with(json!(["password", 5]), &user),
        with(json!([5]), &user),
        with(json!("password"), &user),
        with(json!(["password"]), &numbered),
        with(json!(["password"]), &json!({"password": "x"})),
    ] {
        let got = w.auth(identity.clone(), Value::Null).await;
        assert_eq!(got.status, 400, "{identity}: {}", got.body);
    }
    let scope = json!({"unscoped": {}});
    let got = w.auth(with(json!(["password"]), &user), scope).await;
    assert_eq!(got.status, 201);
    // A null scope is not the same as none.
    let body = json!({"auth": {"identity": with(json!(["password"]), &user), "scope": null}});
    let got = w
        .send("POST /v3/auth/tokens", "", "", &body.to_string())
        .await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn attributes_that_the_server_sets_are_not_changed_silently() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for (noun, path) in [
        ("user", "/v3/users"),
        ("project", "/v3/projects"),
        ("domain", "/v3/domains"),
        ("role", "/v3/roles"),
    ] {
        let body = json!({noun: {"name": "some"}});
        let made = w.call(&format!("POST {path}"), &admin, body, 201).await;
        let patch = format!("PATCH {path}/{}", text(&made[noun]["id"]));
        for id in [json!("other"), json!(null), json!(5)] {
            let body = json!({noun: {"id": id, "description": "changed"}});
            w.call(&patch, &admin, body, 400).await;
        }
        if noun == "role" {
            continue;
        }
        // A client may send back what it has read.
        let same = w.call(&patch, &admin, made.clone(), 200).await;
        assert_eq!(same, made);
        // Keystone stores this one as any other attribute that it does not know.
        let body = json!({noun: {"extra": {"a": 1}}});
        let got = w.call(&patch, &admin, body, 200).await;
        assert_eq!(got[noun]["extra"], json!({"a": 1}));
    }
    let post = async |noun: &str, fields: Value, status: u16| {
        let line = format!("POST /v3/{noun}s");
        w.call(&line, &admin, json!({noun: fields}), status).await
    };
    let identity = json!([{"idp_id": "i", "protocols": []}]);
    for fields in [
        json!({"name": "u", "password_expires_at": "2030-01-01T00:00:00Z"}),
        json!({"name": "u", "federated": identity}),
        json!({"name": "u", "federated": null}),
    ] {
        post("user", fields, 400).await;
    }
    let fields = json!({"name": "u", "federated": [], "password_expires_at": null, "tags": ["t"]});
    let made = post("user", fields, 201).await;
    assert_eq!(made["user"]["tags"], json!(["t"]));
    assert!(made["user"].get("federated").is_none());
    for fields in [
        json!({"name": "d", "parent_id": "default"}),
        json!({"name": "d", "domain_id": "default"}),
        json!({"name": "d", "is_domain": false}),
    ] {
        post("domain", fields, 400).await;
    }
    let body = json!({"user": {"original_password": "a", "password": "b", "note": "c"}});
    w.call("POST /v3/users/x/password", "", body, 400).await;
}

#[tokio::test]
async fn a_domain_gets_the_id_that_an_administrator_chooses() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let id = "0123456789abcdef0123456789abcdef";
    let body = |name: &str, id: &str| json!({"domain": {"name": name, "explicit_domain_id": id}});
    for bad in ["", "default", &id.to_uppercase(), &format!("{id}0")] {
        w.call("POST /v3/domains", &admin, body("d", bad), 400)
            .await;
    }
    let made = w.call("POST /v3/domains", &admin, body("d", id), 201).await;
    assert_eq!(made["domain"]["id"], id);
    assert!(made["domain"].get("explicit_domain_id").is_none());
    let got = w.call("POST /v3/domains", &admin, body("e", id), 409).await;
    assert!(text(&got["error"]["message"]).contains(id));
    let patch = format!("PATCH /v3/domains/{id}");
    let other = "f".repeat(32);
    w.call(&patch, &admin, body("d", &other), 400).await;
    w.call(&patch, &admin, body("d", id), 200).await;
    let (token, ..) = demo(&w).await;
    w.call("POST /v3/domains", &token, body("f", &other), 403)
        .await;
}
