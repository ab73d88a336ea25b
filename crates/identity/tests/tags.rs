//! Tags of projects and domains.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

#[tokio::test]
async fn a_project_is_tagged_and_found_by_its_tags() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let call = async |line: &str, status: u16| w.call(line, &admin, Value::Null, status).await;
    let made = async |noun: &str, fields: Value| {
        let line = format!("POST /v3/{noun}s");
        w.call(&line, &admin, json!({noun: fields}), 201).await[noun].clone()
    };
    let web = made("project", json!({"name": "web", "tags": ["blue", "Red"]})).await;
    assert_eq!(web["tags"], json!(["blue", "Red"]));
    let db = made("project", json!({"name": "db", "tags": ["blue"]})).await;
    let (web, db) = (text(&web["id"]), text(&db["id"]));
    let path = format!("/v3/projects/{web}/tags");

    // Single tags.
    let got = w
        .send(&format!("PUT {path}/new%20one"), &admin, "", "")
        .await;
    assert_eq!((got.status, &got.body), (201, &Value::Null));
    let location = format!("location: http://{}/identity{path}/new%20one", w.at);
    assert!(got.headers.contains(&location), "{}", got.headers);
    call(&format!("PUT {path}/new%20one"), 201).await;
    call(&format!("GET {path}/new%20one"), 204).await;
    call(&format!("HEAD {path}/blue"), 204).await;
    for verb in ["GET", "DELETE"] {
        // Tags distinguish the case.
        let got = call(&format!("{verb} {path}/red"), 404).await;
        assert_eq!(got["error"]["message"], "Could not find project tag: red.");
    }
    let shown = call(&format!("GET {path}"), 200).await;
    let own = format!("http://{}/identity{path}", w.at);
    let want = json!({"tags": ["blue", "Red", "new one"], "links": {"self": own}});
    assert_eq!(shown, want);
    call(&format!("DELETE {path}/new%20one"), 204).await;
    call(&format!("PUT {path}/{}", "x".repeat(256)), 400).await;
    call(&format!("PUT {path}/a%2Cb"), 400).await;

    // The four filters.
    let found = async |query: &str| {
        let list = call(&format!("GET /v3/projects?domain_id=default&{query}"), 200).await;
        let mut names: Vec<_> = list["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| text(&p["name"]))
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(found("tags=blue").await, "db web");
    assert_eq!(found("tags=blue,Red").await, "web");
    assert_eq!(found("tags-any=Red,green").await, "web");
    assert_eq!(found("not-tags=blue,Red").await, "admin db demo");
    assert_eq!(found("not-tags-any=blue,Red").await, "admin demo");
    assert_eq!(found("tags=blue&not-tags-any=Red").await, "db");

    // All tags at once.
    let put = format!("PUT {path}");
    let replaced = w
        .call(&put, &admin, json!({"tags": ["one", "two"]}), 200)
        .await;
    assert_eq!(replaced["tags"], json!(["one", "two"]));
    let many: Vec<_> = (0..81).map(|n| format!("t{n}")).collect();
    for bad in [
        json!({}),
        json!({"tags": "one"}),
        json!({"tags": [1]}),
        json!({"tags": [""]}),
        json!({"tags": ["a/b"]}),
        json!({"tags": ["a", "a"]}),
        json!({"tags": many}),
    ] {
        w.call(&put, &admin, bad, 400).await;
    }
    w.call(&put, &admin, json!({"tags": many[..80]}), 200).await;
    call(&format!("PUT {path}/more"), 400).await;
    call(&format!("DELETE {path}"), 204).await;
    assert_eq!(call(&format!("GET {path}"), 200).await["tags"], json!([]));

    // An update replaces the tags, or leaves them.
    let patch = format!("PATCH /v3/projects/{db}");
    let changed = json!({"project": {"description": "d"}});
    let kept = w.call(&patch, &admin, changed, 200).await;
    assert_eq!(kept["project"]["tags"], json!(["blue"]));
    let changed = json!({"project": {"tags": ["x"], "options": {"immutable": true}}});
    let set = w.call(&patch, &admin, changed, 200).await;
    assert_eq!(set["project"]["tags"], json!(["x"]));
    call(&format!("PUT /v3/projects/{db}/tags/y"), 403).await;
    call("PUT /v3/projects/unknown/tags/y", 404).await;

    let domain = made("domain", json!({"name": "acme", "tags": ["big"]})).await;
    assert_eq!(domain["tags"], json!(["big"]));
    let list = call("GET /v3/domains?tags-any=big", 200).await;
    assert_eq!(list["domains"][0]["id"], domain["id"]);
}

#[tokio::test]
async fn members_read_the_tags_of_their_project_only() {
    let w = Fixture::start().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let (demo, own) = (got.token(), text(&got.body["token"]["project"]["id"]));
    let admin = w.admin().await;
    let list = w
        .call("GET /v3/projects?name=admin", &admin, Value::Null, 200)
        .await;
    let other = text(&list["projects"][0]["id"]);
    let line = format!("PUT /v3/projects/{own}/tags/a");
    w.call(&line, &admin, Value::Null, 201).await;
    for (verb, path, status) in [
        ("GET", format!("{own}/tags"), 200),
        ("GET", format!("{own}/tags/a"), 204),
        ("PUT", format!("{own}/tags/b"), 403),
        ("DELETE", format!("{own}/tags"), 403),
        ("DELETE", format!("{own}/tags/a"), 403),
        ("GET", format!("{other}/tags"), 403),
        ("GET", format!("{other}/tags/a"), 403),
    ] {
        let line = format!("{verb} /v3/projects/{path}");
        w.call(&line, &demo, Value::Null, status).await;
    }
    let line = format!("PUT /v3/projects/{own}/tags");
    w.call(&line, &demo, json!({"tags": []}), 403).await;
}

#[tokio::test]
async fn the_manager_of_a_domain_tags_its_projects_and_not_the_domain() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let body = json!({"user": {"name": "boss", "password": "p"}});
    let boss = text(&w.call("POST /v3/users", &admin, body, 201).await["user"]["id"]);
    let manager = w.roles(&admin).await["manager"].clone();
    let line = format!("PUT /v3/domains/default/users/{boss}/roles/{manager}");
    w.call(&line, &admin, Value::Null, 204).await;
    let token = w
        .login("boss", "p", json!({"domain": {"id": "default"}}))
        .await
        .token();
    let list = w
        .call("GET /v3/projects?name=demo", &token, Value::Null, 200)
        .await;
    let demo = text(&list["projects"][0]["id"]);
    let body = json!({"domain": {"name": "acme"}});
    let acme = text(&w.call("POST /v3/domains", &admin, body, 201).await["domain"]["id"]);
    for (id, status) in [(demo.as_str(), 201), ("default", 403), (acme.as_str(), 404)] {
        let line = format!("PUT /v3/projects/{id}/tags/a");
        w.call(&line, &token, Value::Null, status).await;
    }
}
