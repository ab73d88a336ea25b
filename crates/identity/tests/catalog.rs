//! The catalogue: its regions, services and endpoints.

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

    async fn call(&self, line: &str, status: u16) -> Value {
        self.w.call(line, &self.admin, Value::Null, status).await
    }

    async fn send(&self, line: &str, noun: &str, fields: Value, status: u16) -> Value {
        let body = json!({noun: fields});
        self.w.call(line, &self.admin, body, status).await
    }

    async fn made(&self, noun: &str, fields: Value) -> String {
        let got = self
            .send(&format!("POST /v3/{noun}s"), noun, fields, 201)
            .await;
        text(&got[noun]["id"])
    }

    /// The text of the refusal of a request.
    async fn refusal(&self, line: &str, noun: &str, fields: Value, status: u16) -> String {
        text(&self.send(line, noun, fields, status).await["error"]["message"])
    }
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|o| text(&o["id"]))
        .collect()
}

/// The service of a type in a catalogue.
fn find<'a>(catalog: &'a Value, kind: &str) -> Option<&'a Value> {
    catalog
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["type"] == kind)
}

#[tokio::test]
async fn a_service_and_its_endpoints_appear_in_the_catalogue() {
    let s = Setup::start().await;
    let fields = json!({"type": "image", "name": "images", "color": "red"});
    let made = s.send("POST /v3/services", "service", fields, 201).await;
    let service = text(&made["service"]["id"]);
    let link = format!("http://{}/identity/v3/services/{service}", s.w.at);
    let want = json!({"id": service, "type": "image", "name": "images", "enabled": true,
        "color": "red", "links": {"self": link}});
    assert_eq!(made["service"], want);
    let endpoint = |interface: &str, url: &str| {
        json!({"service_id": service, "interface": interface, "url": url, "region_id": "RegionOne",
            "name": "e"})
    };
    let public = endpoint("public", "http://images:9292/$(project_id)s");
    let made = s.send("POST /v3/endpoints", "endpoint", public, 201).await;
    let public = text(&made["endpoint"]["id"]);
    let link = format!("http://{}/identity/v3/endpoints/{public}", s.w.at);
    let want = json!({"id": public, "interface": "public", "region": "RegionOne",
        "region_id": "RegionOne", "service_id": service, "enabled": true, "name": "e",
        "url": "http://images:9292/$(project_id)s", "links": {"self": link}});
    assert_eq!(made["endpoint"], want);
    let internal = endpoint("internal", "http://10.0.0.1:9292/%(user_id)s");
    s.made("endpoint", internal).await;

    let login = async |scope: Value| {
        let got = s.w.login("admin", &s.w.admin_password, scope).await;
        got.body["token"].clone()
    };
    let token = login(project("admin")).await;
    let image = find(&token["catalog"], "image").unwrap();
    assert_eq!(
        (&image["id"], &image["name"]),
        (&json!(service), &json!("images"))
    );
    let url_of = |image: &Value, interface: &str| {
        let all = image["endpoints"].as_array().unwrap();
        let found = all.iter().find(|e| e["interface"] == interface);
        found.map(|e| text(&e["url"]))
    };
    let (project_id, user_id) = (text(&token["project"]["id"]), text(&token["user"]["id"]));
    let want = format!("http://images:9292/{project_id}");
    assert_eq!(url_of(image, "public"), Some(want));
    let want = format!("http://10.0.0.1:9292/{user_id}");
    assert_eq!(url_of(image, "internal"), Some(want.clone()));
    // A token of the domain has no project.
    let of_domain = login(json!({"domain": {"id": "default"}})).await;
    let image = find(&of_domain["catalog"], "image").unwrap();
    assert_eq!(
        (url_of(image, "public"), url_of(image, "internal")),
        (None, Some(want))
    );
    let shown = s.call("GET /v3/auth/catalog", 200).await;
    assert_eq!(shown["catalog"], token["catalog"]);

    for (path, want) in [
        ("services?type=image", vec![&service]),
        ("services?name=images&type=identity", vec![]),
        ("services?name__icontains=IMAG", vec![&service]),
        (
            "endpoints?interface=public&region_id=RegionOne&service_id=",
            vec![&public],
        ),
    ] {
        let path = if path.ends_with('=') {
            format!("{path}{service}")
        } else {
            path.to_owned()
        };
        let list = s.call(&format!("GET /v3/{path}"), 200).await;
        let noun = path.split('?').next().unwrap();
        assert_eq!(ids(&list[noun]).iter().collect::<Vec<_>>(), want, "{path}");
    }

    // What is disabled or deleted leaves the catalogue at once.
    let visible = async || {
        let shown = s.call("GET /v3/auth/catalog", 200).await;
        let image = find(&shown["catalog"], "image");
        image.map(|i| i["endpoints"].as_array().unwrap().len())
    };
    let (one, of_one) = (
        format!("/v3/services/{service}"),
        format!("/v3/endpoints/{public}"),
    );
    s.send(
        &format!("PATCH {of_one}"),
        "endpoint",
        json!({"enabled": false}),
        200,
    )
    .await;
    assert_eq!(visible().await, Some(1));
    s.send(
        &format!("PATCH {one}"),
        "service",
        json!({"enabled": false}),
        200,
    )
    .await;
    assert_eq!(visible().await, None);
    let change = json!({"enabled": true, "description": "d", "name": "g", "type": "image"});
    let changed = s
        .send(&format!("PATCH {one}"), "service", change, 200)
        .await;
    assert_eq!(changed["service"]["description"], "d");
    assert_eq!(visible().await, Some(1));
    s.call(&format!("DELETE {one}"), 204).await;
    assert_eq!(visible().await, None);
    for (line, text) in [
        (
            format!("GET {one}"),
            format!("Could not find service: {service}."),
        ),
        (
            format!("DELETE {one}"),
            format!("Could not find service: {service}."),
        ),
        (
            format!("GET {of_one}"),
            format!("Could not find endpoint: {public}."),
        ),
        (
            format!("DELETE {of_one}"),
            format!("Could not find endpoint: {public}."),
        ),
    ] {
        assert_eq!(s.call(&line, 404).await["error"]["message"], text.as_str());
    }
}

#[tokio::test]
async fn wrong_services_and_endpoints_are_refused() {
    let s = Setup::start().await;
    let line = "POST /v3/services";
    for fields in [
        json!({"name": "n"}),
        json!({"type": ""}),
        json!({"type": 1}),
        json!({"type": "t", "enabled": "yes"}),
        json!({"type": "t", "name": "x".repeat(256)}),
    ] {
        s.send(line, "service", fields, 400).await;
    }
    let service = s.made("service", json!({"type": "t"})).await;
    let good = json!({"service_id": service, "interface": "public", "url": "http://h"});
    let with = |name: &str, value: Value| {
        let mut fields = good.clone();
        fields[name] = value;
        fields
    };
    let line = "POST /v3/endpoints";
    for (fields, text) in [
        (
            with("interface", json!("private")),
            "Invalid input for field/attribute interface. Value: private. 'private' is not one of \
             ['admin', 'internal', 'public']",
        ),
        (
            with("url", json!("/path")),
            "Invalid input for field/attribute url. Value: /path. '/path' does not match \
             '^[a-zA-Z0-9+.-]+:.+'",
        ),
        (
            with("url", json!("http://h/$(secret)s")),
            "Cannot create an endpoint with an invalid URL: http://h/$(secret)s.",
        ),
        (
            with("service_id", json!("none")),
            "Expecting to find endpoint service_id in service table. The server could not comply \
             with the request since it is either malformed or otherwise incorrect. The client is \
             assumed to be in error.",
        ),
        (
            with("region_id", json!("none")),
            "Expecting to find endpoint region_id in region table. The server could not comply \
             with the request since it is either malformed or otherwise incorrect. The client is \
             assumed to be in error.",
        ),
    ] {
        assert_eq!(s.refusal(line, "endpoint", fields, 400).await, text);
    }
    for fields in [
        with("enabled", json!("True")),
        with("url", json!(format!("http://{}", "h".repeat(225)))),
        json!({"service_id": service, "interface": "public"}),
    ] {
        s.send(line, "endpoint", fields, 400).await;
    }
    // The attribute of version 2 creates the region.
    let made = s
        .send(line, "endpoint", with("region", json!("West")), 201)
        .await;
    assert_eq!(made["endpoint"]["region_id"], "West");
    s.call("GET /v3/regions/West", 200).await;
    let one = format!("PATCH /v3/endpoints/{}", text(&made["endpoint"]["id"]));
    for fields in [
        json!({"region_id": "none"}),
        json!({"service_id": "no"}),
        json!({"url": "x"}),
    ] {
        s.send(&one, "endpoint", fields, 400).await;
    }
    let changed = s
        .send(&one, "endpoint", json!({"region_id": null}), 200)
        .await;
    assert_eq!(changed["endpoint"]["region"], Value::Null);
    // Members of projects see regions, and neither services nor endpoints.
    let demo =
        s.w.login("demo", &s.w.demo_password, project("demo"))
            .await
            .token();
    for (line, status) in [
        ("GET /v3/regions", 200),
        ("GET /v3/regions/West", 200),
        ("DELETE /v3/regions/West", 403),
        ("GET /v3/services", 403),
        ("GET /v3/endpoints", 403),
    ] {
        s.w.call(line, &demo, Value::Null, status).await;
    }
}

#[tokio::test]
async fn regions_form_a_tree() {
    let s = Setup::start().await;
    let post = "POST /v3/regions";
    let made = s
        .send("PUT /v3/regions/earth", "region", json!({}), 201)
        .await;
    let link = format!("http://{}/identity/v3/regions/earth", s.w.at);
    let want = json!({"id": "earth", "description": "", "parent_region_id": null,
        "links": {"self": link}});
    assert_eq!(made["region"], want);
    let below = |id: &str, parent: &str| json!({"id": id, "parent_region_id": parent, "zone": 1});
    let made = s.send(post, "region", below("europe", "earth"), 201).await;
    assert_eq!(made["region"]["zone"], 1);
    s.send(post, "region", below("berlin", "europe"), 201).await;
    let random = s.made("region", json!({"description": "r"})).await;
    assert_eq!(random.len(), 32);
    let list = s.call("GET /v3/regions?parent_region_id=earth", 200).await;
    assert_eq!(ids(&list["regions"]), ["europe"]);
    let all = s.call("GET /v3/regions", 200).await;
    assert_eq!(all["regions"].as_array().unwrap().len(), 5);

    let refused = async |line: &str, fields: Value, status: u16| {
        s.refusal(line, "region", fields, status).await
    };
    assert_eq!(
        refused(post, json!({"id": "earth"}), 409).await,
        "Conflict occurred attempting to store region - Duplicate ID, earth.."
    );
    assert_eq!(
        refused("PUT /v3/regions/a", json!({"id": "b"}), 400).await,
        "Conflicting region IDs specified: \"a\" != \"b\""
    );
    assert_eq!(
        refused(post, below("x", "moon"), 404).await,
        "Could not find region: moon."
    );
    refused(post, json!({"id": "x".repeat(256)}), 400).await;
    refused(post, json!({"description": 1}), 400).await;
    for (region, parent) in [("earth", "berlin"), ("europe", "europe")] {
        let fields = json!({"parent_region_id": parent});
        let got = refused(&format!("PATCH /v3/regions/{region}"), fields, 400).await;
        let want = format!(
            "The specified parent region {parent} would create a circular region hierarchy."
        );
        assert_eq!(got, want);
    }
    refused("PATCH /v3/regions/none", json!({"description": "x"}), 404).await;
    refused("PATCH /v3/regions/earth", json!({"id": "other"}), 400).await;
    let change = json!({"description": "d", "parent_region_id": null});
    let changed = s
        .send("PATCH /v3/regions/europe", "region", change, 200)
        .await;
    assert_eq!(changed["region"]["parent_region_id"], Value::Null);

    // A region is deleted with those below it, unless one of them is in use.
    let service = s.made("service", json!({"type": "t"})).await;
    let fields = json!({"service_id": service, "interface": "public", "url": "http://h",
        "region_id": "berlin"});
    s.made("endpoint", fields).await;
    let got = s.call("DELETE /v3/regions/europe", 403).await;
    assert_eq!(
        got["error"]["message"],
        "Unable to delete region europe because it or its child regions have associated endpoints."
    );
    s.call(&format!("DELETE /v3/services/{service}"), 204).await;
    s.call("DELETE /v3/regions/europe", 204).await;
    for id in ["europe", "berlin"] {
        s.call(&format!("GET /v3/regions/{id}"), 404).await;
    }
    s.call("DELETE /v3/regions/none", 404).await;
}

#[tokio::test]
async fn a_server_keeps_its_own_entries() {
    let s = Setup::start().await;
    let endpoints = s.call("GET /v3/endpoints", 200).await;
    let services = s.call("GET /v3/services", 200).await;
    assert_eq!(services["services"].as_array().unwrap().len(), 2);
    assert_eq!(endpoints["endpoints"].as_array().unwrap().len(), 6);
    for (noun, list) in [
        ("service", &services["services"]),
        ("endpoint", &endpoints["endpoints"]),
    ] {
        for id in ids(list) {
            let one = format!("/v3/{noun}s/{id}");
            let want = format!(
                "{noun} {id}: it belongs to this server, which keeps it up to date. Add another \
                 {noun} instead."
            );
            let off = json!({"enabled": false});
            let got = s.refusal(&format!("PATCH {one}"), noun, off, 403).await;
            assert_eq!(got, format!("Unable to update {want}"));
            let got = s.call(&format!("DELETE {one}"), 403).await;
            assert_eq!(
                got["error"]["message"],
                format!("Unable to delete {want}").as_str()
            );
        }
    }
    s.call("DELETE /v3/regions/RegionOne", 403).await;

    // What was changed in the database is corrected by the next server, and what others
    // have added stays.
    let added = s.made("service", json!({"type": "image"})).await;
    s.w.spoil_catalog().await;
    let spoiled = s.call("GET /v3/services?type=wrong", 200).await;
    assert_eq!(spoiled["services"].as_array().unwrap().len(), 1);
    let (second, third) = tokio::join!(s.w.second_server(), s.w.second_server());
    for server in [&second, &third] {
        let seen = async |line: &str| server.call(line, &s.admin, Value::Null, 200).await;
        let mut now = ids(&seen("GET /v3/services").await["services"]);
        now.retain(|id| *id != added);
        assert_eq!(now, ids(&services["services"]));
        let now = seen("GET /v3/endpoints").await;
        assert_eq!(ids(&now["endpoints"]), ids(&endpoints["endpoints"]));
        let url = text(&now["endpoints"][0]["url"]);
        assert!(url.starts_with(&format!("http://{}/", server.at)), "{url}");
    }
}
