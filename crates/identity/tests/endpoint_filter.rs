//! The endpoints of projects: a project that is associated with endpoints has only these
//! in its catalogue.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

const BASE: &str = "/v3/OS-EP-FILTER";

struct Setup {
    w: Fixture,
    admin: String,
    /// The project `admin`.
    home: String,
    service: String,
    public: String,
    internal: String,
}

impl Setup {
    async fn start() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        let listed = w
            .call("GET /v3/projects?name=admin", &admin, Value::Null, 200)
            .await;
        let home = text(&listed["projects"][0]["id"]);
        let body = json!({"service": {"type": "image"}});
        let made = w.call("POST /v3/services", &admin, body, 201).await;
        let service = text(&made["service"]["id"]);
        let endpoint = async |interface: &str| {
            let body = json!({"endpoint": {"service_id": service, "interface": interface,
                "url": "http://images"}});
            let made = w.call("POST /v3/endpoints", &admin, body, 201).await;
            text(&made["endpoint"]["id"])
        };
        let (public, internal) = (endpoint("public").await, endpoint("internal").await);
        Self {
            w,
            admin,
            home,
            service,
            public,
            internal,
        }
    }

    /// A call of the administrator.
    async fn call(&self, line: &str, status: u16) -> Value {
        let (verb, path) = line.split_once(' ').unwrap();
        let line = format!("{verb} {BASE}{path}");
        self.w.call(&line, &self.admin, Value::Null, status).await
    }

    async fn send(&self, line: &str, fields: Value, status: u16) -> Value {
        let (verb, path) = line.split_once(' ').unwrap();
        let line = format!("{verb} {BASE}{path}");
        let body = json!({"endpoint_group": fields});
        self.w.call(&line, &self.admin, body, status).await
    }

    async fn group(&self, filters: Value) -> String {
        let fields = json!({"name": "g", "filters": filters});
        let made = self.send("POST /endpoint_groups", fields, 201).await;
        text(&made["endpoint_group"]["id"])
    }

    /// The types of the services in the catalogue of a new token, each with the number of
    /// its endpoints.
    async fn catalogue(&self, scope: Value) -> Vec<(String, usize)> {
        let got = self.w.login("admin", &self.w.admin_password, scope).await;
        counts(&got.body["token"]["catalog"])
    }

    async fn ids(&self, path: &str, noun: &str) -> Vec<String> {
        let list = self.call(&format!("GET {path}"), 200).await;
        let own = list["links"]["self"].as_str().unwrap();
        assert!(own.ends_with(&format!("{BASE}{path}")), "{own}");
        let mut ids: Vec<String> = list[noun]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| text(&o["id"]))
            .collect();
        ids.sort();
        ids
    }
}

fn counts(catalog: &Value) -> Vec<(String, usize)> {
    let services = catalog.as_array().unwrap().iter();
    services
        .map(|s| (text(&s["type"]), s["endpoints"].as_array().unwrap().len()))
        .collect()
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_group_is_created_listed_changed_and_deleted() {
    let s = Setup::start().await;
    let filters = json!({"service_id": s.service, "interface": "public"});
    let fields = json!({"name": "images", "description": "d", "filters": filters});
    let made = s.send("POST /endpoint_groups", fields, 201).await;
    let id = text(&made["endpoint_group"]["id"]);
    let one = format!("/endpoint_groups/{id}");
    let own = format!("http://{}/identity{BASE}{one}", s.w.at);
    let want = json!({"id": id, "name": "images", "description": "d", "filters": filters,
        "links": {"self": own}});
    assert_eq!(made["endpoint_group"], want);
    assert_eq!(s.call(&format!("GET {one}"), 200).await, made);
    s.call(&format!("HEAD {one}"), 200).await;
    let other = s.group(json!({"region_id": null})).await;
    let mut both = vec![id.clone(), other];
    both.sort();
    assert_eq!(s.ids("/endpoint_groups", "endpoint_groups").await, both);
    let listed = s.call("GET /endpoint_groups?name=images", 200).await;
    assert_eq!(listed["endpoint_groups"], json!([made["endpoint_group"]]));

    let line = format!("PATCH {one}");
    let filters = json!({"region_id": "RegionOne"});
    let changed = s.send(&line, json!({"filters": filters}), 200).await;
    let group = &changed["endpoint_group"];
    assert_eq!(
        (&group["name"], &group["filters"]),
        (&json!("images"), &filters)
    );
    let got = s.send(&line, json!({"filters": {"url": "x"}}), 400).await;
    let want = "Expecting to find service_id or region_id or interface in endpoint_group.";
    assert!(message(&got).starts_with(want));
    for fields in [
        json!({"name": "x"}),
        json!({"filters": {"interface": "public"}}),
        json!({"name": "x", "filters": {}}),
        json!({"name": "x", "filters": []}),
        json!({"name": " ", "filters": {"interface": "public"}}),
        json!({"name": "x".repeat(256), "filters": {"interface": "public"}}),
        json!({"name": "x", "filters": {"interface": "private"}}),
        json!({"name": "x", "filters": {"service_id": "x".repeat(65)}}),
        json!({"name": "x", "filters": {"region_id": 1}}),
        json!({"name": "x", "filters": {"interface": "public"}, "color": "red"}),
    ] {
        s.send("POST /endpoint_groups", fields, 400).await;
    }
    s.call(&format!("DELETE {one}"), 204).await;
    let gone = s.call(&format!("GET {one}"), 404).await;
    assert_eq!(
        message(&gone),
        format!("Could not find Endpoint Group: {id}.")
    );
    s.call(&format!("DELETE {one}"), 404).await;
}

#[tokio::test]
async fn the_catalogue_contains_what_the_project_is_associated_with() {
    let s = Setup::start().await;
    let all = s.catalogue(project("admin")).await;
    assert!(all.contains(&("identity".into(), 3)) && all.contains(&("image".into(), 2)));

    let endpoint = format!("/projects/{}/endpoints/{}", s.home, s.public);
    let missing = s.call(&format!("GET {endpoint}"), 404).await;
    let want = format!("Endpoint {} not found in project {}", s.public, s.home);
    assert_eq!(message(&missing), want);
    s.call(&format!("PUT {endpoint}"), 204).await;
    s.call(&format!("GET {endpoint}"), 204).await;
    s.call(&format!("HEAD {endpoint}"), 204).await;
    let twice = s.call(&format!("PUT {endpoint}"), 409).await;
    assert_eq!(
        message(&twice),
        "Conflict occurred attempting to store project_endpoint - Duplicate entry."
    );
    assert_eq!(s.catalogue(project("admin")).await, [("image".into(), 1)]);
    // An issued token and other scopes follow.
    let own =
        s.w.call("GET /v3/auth/catalog", &s.admin, Value::Null, 200)
            .await;
    assert_eq!(counts(&own["catalog"]), [("image".into(), 1)]);
    let system = json!({"system": {"all": true}});
    assert_eq!(s.catalogue(system).await, all);

    // A group adds to it.
    let group = s
        .group(json!({"service_id": s.service, "interface": "internal"}))
        .await;
    let link = format!("/endpoint_groups/{group}/projects/{}", s.home);
    let missing = s.call(&format!("GET {link}"), 404).await;
    assert_eq!(
        message(&missing),
        "Endpoint Group Project Association not found"
    );
    s.call(&format!("PUT {link}"), 204).await;
    s.call(&format!("PUT {link}"), 409).await;
    let shown = s.call(&format!("GET {link}"), 200).await;
    let own = format!("http://{}/identity{BASE}{link}", s.w.at);
    let want = json!({"endpoint_group_id": group, "project_id": s.home, "links": {"self": own}});
    assert_eq!(shown["project_endpoint_group"], want);
    assert_eq!(s.catalogue(project("admin")).await, [("image".into(), 2)]);

    let mut both = vec![s.public.clone(), s.internal.clone()];
    both.sort();
    let path = format!("/projects/{}/endpoints", s.home);
    assert_eq!(s.ids(&path, "endpoints").await, both);
    let path = format!("/projects/{}/endpoint_groups", s.home);
    assert_eq!(s.ids(&path, "endpoint_groups").await, [group.as_str()]);
    let path = format!("/endpoint_groups/{group}/endpoints");
    assert_eq!(s.ids(&path, "endpoints").await, [s.internal.as_str()]);
    let path = format!("/endpoint_groups/{group}/projects");
    assert_eq!(s.ids(&path, "projects").await, [s.home.as_str()]);
    let path = format!("/endpoints/{}/projects", s.public);
    assert_eq!(s.ids(&path, "projects").await, [s.home.as_str()]);

    s.call(&format!("DELETE {endpoint}"), 204).await;
    s.call(&format!("DELETE {endpoint}"), 404).await;
    assert_eq!(s.catalogue(project("admin")).await, [("image".into(), 1)]);
    // A group without endpoints hides nothing.
    let line = format!("PATCH /endpoint_groups/{group}");
    let filters = json!({"filters": {"service_id": "unknown"}});
    s.send(&line, filters, 200).await;
    assert_eq!(s.catalogue(project("admin")).await, all);
    s.call(&format!("DELETE {link}"), 204).await;
    s.call(&format!("DELETE {link}"), 404).await;
}

#[tokio::test]
async fn associations_name_what_exists_and_end_with_it() {
    let s = Setup::start().await;
    let (home, public) = (&s.home, &s.public);
    let group = s.group(json!({"interface": "public"})).await;
    for (path, want) in [
        (
            format!("/projects/{home}/endpoints/unknown"),
            "Could not find endpoint: unknown.",
        ),
        (
            format!("/projects/unknown/endpoints/{public}"),
            "Could not find project: unknown.",
        ),
        (
            format!("/endpoint_groups/unknown/projects/{home}"),
            "Could not find Endpoint Group: unknown.",
        ),
        (
            format!("/endpoint_groups/{group}/projects/unknown"),
            "Could not find project: unknown.",
        ),
        (
            format!("/endpoint_groups/{group}/projects/default"),
            "Could not find project: default.",
        ),
    ] {
        assert_eq!(message(&s.call(&format!("PUT {path}"), 404).await), want);
        s.call(&format!("GET {path}"), 404).await;
    }
    for path in [
        "/projects/unknown/endpoints",
        "/projects/unknown/endpoint_groups",
        "/endpoints/unknown/projects",
        "/endpoint_groups/unknown/projects",
        "/endpoint_groups/unknown/endpoints",
    ] {
        s.call(&format!("GET {path}"), 404).await;
    }

    let body = json!({"project": {"name": "short"}});
    let made = s.w.call("POST /v3/projects", &s.admin, body, 201).await;
    let short = text(&made["project"]["id"]);
    let left = async || {
        let sql = "SELECT linked_id AS found FROM identity_project_endpoint";
        s.w.stored(sql).await.len()
    };
    for project in [home, &short] {
        for line in [
            format!("PUT /projects/{project}/endpoints/{public}"),
            format!("PUT /projects/{project}/endpoints/{}", s.internal),
            format!("PUT /endpoint_groups/{group}/projects/{project}"),
        ] {
            s.call(&line, 204).await;
        }
    }
    let delete = async |path: String| {
        let line = format!("DELETE /v3/{path}");
        s.w.call(&line, &s.admin, Value::Null, 204).await;
    };
    assert_eq!(left().await, 6);
    delete(format!("projects/{short}")).await;
    assert_eq!(left().await, 3);
    delete(format!("endpoints/{public}")).await;
    assert_eq!(left().await, 2);
    delete(format!("services/{}", s.service)).await;
    assert_eq!(left().await, 1);
    delete(format!("OS-EP-FILTER/endpoint_groups/{group}")).await;
    assert_eq!(left().await, 0);

    let demo = s.w.login("demo", &s.w.demo_password, project("demo")).await;
    let demo = demo.token();
    for path in ["endpoint_groups", "projects/unknown/endpoints"] {
        let line = format!("GET {BASE}/{path}");
        s.w.call(&line, &demo, Value::Null, 403).await;
    }
}
