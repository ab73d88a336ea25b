//! What a request may rely on: options have their effect or are refused, no
//! filter is ignored, errors have Keystone's body whatever is wrong.

mod fixture;

use fixture::{Answer, Fixture, text};
use serde_json::{Value, json};

async fn status(w: &Fixture, line: &str, token: &str) -> u16 {
    w.send(line, token, "", "").await.status
}

fn is_keystone_error(got: &Answer, status: u16) {
    assert_eq!(got.status, status, "{}", got.body);
    assert_eq!(got.body["error"]["code"], status, "{}", got.body);
    assert!(got.body["error"]["message"].is_string(), "{}", got.body);
}

#[tokio::test]
async fn errors_of_routing_have_keystones_body() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for (line, want) in [
        ("GET /v3/nowhere", 404),
        ("GET /v3/users/a/b/c", 404),
        ("PUT /v3/users", 405),
        ("TRACE /v3/users", 405),
        ("GET /v3/users/%ff", 400),
        ("GET /v3/users?name=%c3%28", 400),
        ("GET /v3/users/%00", 400),
    ] {
        is_keystone_error(&w.send(line, &admin, "", "").await, want);
    }
    // The path decides before the token.
    assert_eq!(status(&w, "GET /v3/nowhere", "").await, 404);
    assert_eq!(status(&w, "PUT /v3/users", "").await, 405);
    let got = w.send("PUT /v3/users", &admin, "", "").await;
    assert!(
        got.headers.contains("allow: GET, HEAD, POST"),
        "{}",
        got.headers
    );
    let large = format!("{{\"auth\": \"{}\"}}", "x".repeat(114_688));
    is_keystone_error(&w.send("POST /v3/auth/tokens", "", "", &large).await, 413);
    let got = w.send("GET /v3/users", "", "", "").await;
    let challenge = format!(
        "www-authenticate: Keystone uri=\"http://{}/identity/v3\"",
        w.at
    );
    assert!(got.headers.contains(&challenge), "{}", got.headers);
}

#[tokio::test]
async fn no_filter_is_ignored() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for query in ["nmae=x", "name__like=x", "enabled__contains=x", "tags=x"] {
        let line = format!("GET /v3/users?{query}");
        is_keystone_error(&w.send(&line, &admin, "", "").await, 400);
    }
    for (query, want) in [
        ("idp_id=x", 0),
        ("name__icontains=ADM", 1),
        ("enabled=0", 0),
    ] {
        let line = format!("GET /v3/users?{query}");
        let got = w.call(&line, &admin, Value::Null, 200).await;
        assert_eq!(got["users"].as_array().unwrap().len(), want, "{query}");
    }
    // The next page keeps the query.
    let first = w
        .call(
            "GET /v3/users?limit=1&name__contains=%6D",
            &admin,
            Value::Null,
            200,
        )
        .await;
    let next = text(&first["links"]["next"]);
    assert!(
        next.contains("name__contains=m") && next.contains("marker="),
        "{next}"
    );
}

#[tokio::test]
async fn options_have_their_effect_or_are_refused() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for options in [
        json!({"multi_factor_auth_enabled": true}),
        json!({"multi_factor_auth_rules": [["password", "totp"]]}),
        json!({"lock_password": "yes"}),
        json!({"immutable": true}),
        json!({"unknown": null}),
    ] {
        let body = json!({"user": {"name": "u", "options": options}});
        w.call("POST /v3/users", &admin, body, 400).await;
    }
    let body = json!({"user": {"name": "u", "password": "p", "options":
        {"lock_password": true, "ignore_password_expiry": true}}});
    let made = w.call("POST /v3/users", &admin, body, 201).await;
    assert_eq!(made["user"]["options"]["lock_password"], true);
    let id = text(&made["user"]["id"]);
    let change = json!({"user": {"original_password": "p", "password": "q"}});
    let line = format!("POST /v3/users/{id}/password");
    w.call(&line, "", change.clone(), 400).await;
    let unlock = json!({"user": {"options": {"lock_password": null}}});
    let shown = w
        .call(&format!("PATCH /v3/users/{id}"), &admin, unlock, 200)
        .await;
    assert_eq!(
        shown["user"]["options"],
        json!({"ignore_password_expiry": true})
    );
    w.call(&line, "", change, 204).await;
}

#[tokio::test]
async fn immutable_objects_are_neither_changed_nor_deleted() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for (noun, path) in [
        ("project", "/v3/projects"),
        ("role", "/v3/roles"),
        ("domain", "/v3/domains"),
    ] {
        let body = json!({noun: {"name": "fixed", "options": {"immutable": true}}});
        let made = w.call(&format!("POST {path}"), &admin, body, 201).await;
        let one = format!("{path}/{}", text(&made[noun]["id"]));
        let change = |fields: Value| json!({noun: fields});
        let patch = format!("PATCH {one}");
        w.call(&patch, &admin, change(json!({"name": "other"})), 403)
            .await;
        w.call(&format!("DELETE {one}"), &admin, Value::Null, 403)
            .await;
        let unset = change(json!({"options": {"immutable": false}}));
        w.call(&patch, &admin, unset, 200).await;
        w.call(&patch, &admin, change(json!({"name": "other"})), 200)
            .await;
        let unknown = change(json!({"options": {"color": "red"}}));
        w.call(&patch, &admin, unknown, 400).await;
    }
}

#[tokio::test]
async fn attributes_that_keystone_does_not_know_are_kept() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let body = json!({"user": {"name": "u", "phone": "123", "age": 7, "id": "mine"}});
    let made = w.call("POST /v3/users", &admin, body, 201).await;
    let id = text(&made["user"]["id"]);
    assert_ne!(id, "mine");
    let one = format!("/v3/users/{id}");
    let body = json!({"user": {"phone": "456"}});
    w.call(&format!("PATCH {one}"), &admin, body, 200).await;
    let shown = w
        .call(&format!("GET {one}"), &admin, Value::Null, 200)
        .await;
    assert_eq!(
        (&shown["user"]["phone"], &shown["user"]["age"]),
        (&json!("456"), &json!(7))
    );
    let large = json!({"user": {"note": "x".repeat(70_000)}});
    w.call(&format!("PATCH {one}"), &admin, large, 400).await;
    let body = json!({"project": {"name": "p", "cost_center": "c1"}});
    let made = w.call("POST /v3/projects", &admin, body, 201).await;
    assert_eq!(made["project"]["cost_center"], "c1");
}

#[tokio::test]
async fn names_that_differ_in_case_only_are_duplicates() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for (noun, path) in [
        ("user", "/v3/users"),
        ("project", "/v3/projects"),
        ("role", "/v3/roles"),
        ("domain", "/v3/domains"),
    ] {
        let post = format!("POST {path}");
        w.call(&post, &admin, json!({noun: {"name": "Some"}}), 201)
            .await;
        w.call(&post, &admin, json!({noun: {"name": "some"}}), 409)
            .await;
        let other = w
            .call(&post, &admin, json!({noun: {"name": "other"}}), 201)
            .await;
        let patch = format!("PATCH {path}/{}", text(&other[noun]["id"]));
        w.call(&patch, &admin, json!({noun: {"name": "SOME"}}), 409)
            .await;
        // An object may change the case of its name.
        w.call(&patch, &admin, json!({noun: {"name": "OTHER"}}), 200)
            .await;
    }
}

#[tokio::test]
async fn a_domain_manager_cannot_change_an_administrator() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let roles = w.roles(&admin).await;
    let role = |name: &str| roles[name].clone();
    let make = async |name: &str| {
        let body = json!({"user": {"name": name, "password": "p"}});
        text(&w.call("POST /v3/users", &admin, body, 201).await["user"]["id"])
    };
    let (manager, root, plain) = (make("boss").await, make("root").await, make("ann").await);
    let grant = format!(
        "PUT /v3/domains/default/users/{manager}/roles/{}",
        role("manager")
    );
    w.call(&grant, &admin, Value::Null, 204).await;
    let grant = format!("PUT /v3/system/users/{root}/roles/{}", role("admin"));
    w.call(&grant, &admin, Value::Null, 204).await;
    let scope = json!({"domain": {"id": "default"}});
    let boss = w.login("boss", "p", scope).await.token();
    let change = json!({"user": {"password": "stolen"}});
    w.call(
        &format!("PATCH /v3/users/{plain}"),
        &boss,
        change.clone(),
        200,
    )
    .await;
    w.call(&format!("PATCH /v3/users/{root}"), &boss, change, 403)
        .await;
    w.call(&format!("DELETE /v3/users/{root}"), &boss, Value::Null, 403)
        .await;
    w.call(
        &format!("DELETE /v3/users/{plain}"),
        &boss,
        Value::Null,
        204,
    )
    .await;
}

#[tokio::test]
async fn a_domain_manager_cannot_take_over_rights_outside_of_the_domain() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let roles = w.roles(&admin).await;
    let role = |name: &str| roles[name].clone();
    let make = async |noun: &str, fields: Value| {
        let body = json!({noun: fields});
        text(
            &w.call(&format!("POST /v3/{noun}s"), &admin, body, 201)
                .await[noun]["id"],
        )
    };
    let domain = make("domain", json!({"name": "elsewhere"})).await;
    let outside = make("project", json!({"name": "outside", "domain_id": domain})).await;
    let inside = make("project", json!({"name": "inside", "domain_id": "default"})).await;
    let user = async |name: &str, grants: &[(String, &str)]| {
        let id = make("user", json!({"name": name, "password": "p"})).await;
        for (target, held) in grants {
            let line = format!("PUT /v3/{target}/users/{id}/roles/{}", role(held));
            w.call(&line, &admin, Value::Null, 204).await;
        }
        id
    };
    user("boss", &[("domains/default".to_owned(), "manager")]).await;
    let scope = json!({"domain": {"id": "default"}});
    let boss = w.login("boss", "p", scope).await.token();
    let (inside, outside) = (format!("projects/{inside}"), format!("projects/{outside}"));
    let elsewhere = format!("domains/{domain}");
    for (name, grants, permitted) in [
        ("plain", vec![], true),
        (
            "own",
            vec![
                (inside.clone(), "member"),
                ("domains/default".to_owned(), "manager"),
            ],
            true,
        ),
        (
            "project",
            vec![(inside.clone(), "member"), (outside, "reader")],
            false,
        ),
        ("domain", vec![(elsewhere, "reader")], false),
        ("system", vec![("system".to_owned(), "reader")], false),
        ("service", vec![(inside.clone(), "service")], false),
        ("admin2", vec![(inside, "admin")], false),
    ] {
        let id = user(name, &grants).await;
        let (patch, delete) = (
            format!("PATCH /v3/users/{id}"),
            format!("DELETE /v3/users/{id}"),
        );
        for fields in [
            json!({"password": "stolen"}),
            json!({"enabled": false}),
            json!({"email": "x"}),
        ] {
            let want = if permitted { 200 } else { 403 };
            w.call(&patch, &boss, json!({"user": fields}), want).await;
        }
        let want = if permitted { 204 } else { 403 };
        w.call(&delete, &boss, Value::Null, want).await;
        if !permitted {
            let login = w.login(name, "p", Value::Null).await;
            assert_eq!(login.status, 201, "{name}");
            w.call(&patch, &admin, json!({"user": {"email": "y"}}), 200)
                .await;
            w.call(&delete, &admin, Value::Null, 204).await;
        }
    }
}

#[tokio::test]
async fn a_disabled_domain_has_no_new_projects_and_no_logins() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let made = w
        .call(
            "POST /v3/domains",
            &admin,
            json!({"domain": {"name": "d"}}),
            201,
        )
        .await;
    let d = text(&made["domain"]["id"]);
    let off = json!({"domain": {"enabled": false}});
    w.call(&format!("PATCH /v3/domains/{d}"), &admin, off, 200)
        .await;
    let body = json!({"project": {"name": "p", "domain_id": d}});
    w.call("POST /v3/projects", &admin, body, 403).await;
}
