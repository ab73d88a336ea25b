//! Properties of the route table as a whole.

use serde_json::{Value, json};

use super::fixture::*;

#[tokio::test]
async fn all_links_begin_with_the_public_endpoint() {
    let public = "https://c.example.org";
    let w = Fixture::new().await.with_public_endpoint(public);
    let template = w.template().await;
    let id = w.cluster_from(&template).await;
    w.cluster_from(&template).await;
    let paths = [
        String::new(),
        "/v1".into(),
        "/v1/clusters?limit=1".into(),
        "/v1/clusters/detail?limit=1".into(),
        format!("/v1/clusters/{id}"),
        "/v1/clustertemplates?limit=1".into(),
        format!("/v1/clusters/{id}/nodegroups?limit=1&role=worker"),
        format!("/v1/clusters/{id}/nodegroups/default-worker"),
        format!("/v1/certificates/{id}"),
    ];
    for path in paths {
        let got = w.call(ALICE, "GET", &path, None).await;
        assert_eq!(got.status, 200, "{path}: {}", got.body);
        let mut links = Vec::new();
        collect(&got.body, &mut links);
        assert!(!links.is_empty(), "{path}");
        for link in links {
            let own = link.starts_with(&format!("{public}/container-infra/"));
            assert!(own || link.contains("docs.openstack.org"), "{path}: {link}");
        }
    }
    let got = w
        .call(ALICE, "POST", "/v1/clustertemplates", Some(template_body()))
        .await;
    let location = got.headers["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{public}/container-infra/v1/")));
    let got = w.call("", "GET", "/v1/clusters", None).await;
    let challenge = got.headers["www-authenticate"].to_str().unwrap();
    assert_eq!(challenge, format!("Keystone uri=\"{public}/identity/v3\""));
}

/// All values of `href` and `next`.
fn collect(value: &Value, links: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, links)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(link) if name == "href" || name == "next" => {
                        links.push(link.clone());
                    }
                    other => collect(other, links),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn bodies_and_answers_have_schemas() {
    let w = Fixture::new().await;
    let services = [
        w.clusters.service().unwrap(),
        w.clusters.native_service().unwrap(),
    ];
    let services: Vec<&rest::Service> = services.iter().collect();
    let document = rest::openapi::document(&services, "1");
    let operation = |path: &str, method: &str| document["paths"][path][method].clone();
    let create = operation("/container-infra/v1/clusters", "post");
    let body = &create["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["cluster_template_id"]));
    assert_eq!(body["additionalProperties"], json!(false));
    let count = &body["properties"]["node_count"];
    assert_eq!(
        (&count["minimum"], &count["maximum"]),
        (&json!(0), &json!(1000))
    );
    let cluster = &document["components"]["schemas"]["Cluster"]["properties"];
    assert_eq!(cluster["api_address"]["type"], json!(["string", "null"]));
    assert_eq!(cluster["uuid"]["type"], json!("string"));
    let resize = operation(
        "/container-infra/v1/clusters/{cluster_id}/actions/resize",
        "post",
    );
    assert_eq!(resize["x-since"], json!("1.7"));
    assert_eq!(resize["x-access"], json!({"policy": "cluster:resize"}));
}

#[tokio::test]
async fn documents_answer_head_and_the_root_has_no_version() {
    let w = Fixture::new().await;
    for path in ["", "/v1"] {
        let got = w.at("", "", "HEAD", path, None).await;
        assert_eq!(got.status, 200, "{path}");
        let got = w.at("", "", "POST", path, None).await;
        assert_eq!(got.status, 405, "{path}");
        assert_eq!(got.headers["allow"], "GET, HEAD");
    }
    let root = w.at("", "", "GET", "", None).await;
    assert!(!root.headers.contains_key("openstack-api-version"));
    let v1 = w.at("", "", "GET", "/v1", None).await;
    assert!(v1.headers.contains_key("openstack-api-version"));
    // Paths that no handler serves have no version, either.
    let unknown = w.call(ALICE, "GET", "/v1/zzz", None).await;
    assert!(!unknown.headers.contains_key("openstack-api-version"));
}

#[tokio::test]
async fn agents_get_their_own_errors_everywhere() {
    let w = Fixture::new().await;
    let got = w.node("s", "GET", "nothing", Value::Null).await;
    assert_eq!(got.status, 404);
    assert!(got.body["error"].is_string(), "{}", got.body);
    let got = w.node("s", "DELETE", "steps", Value::Null).await;
    assert_eq!(
        (got.status, &got.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let got = w.node("s", "POST", "hello", json!({"cluster": 1})).await;
    assert_eq!(got.status, 400);
    assert!(got.body["error"].as_str().unwrap().starts_with("body: "));
}

#[tokio::test]
async fn a_page_ends_early_when_it_has_too_many_bytes() {
    let w = Fixture::new().await;
    let long = "x".repeat(15_000);
    let labels: serde_json::Map<String, Value> =
        (0..4).map(|i| (format!("l{i}"), json!(long))).collect();
    let mut body = template_body();
    body["labels"] = Value::Object(labels);
    for _ in 0..150 {
        let got = w
            .call(ALICE, "POST", "/v1/clustertemplates", Some(body.clone()))
            .await;
        assert_eq!(got.status, 201, "{}", got.body);
    }
    let got = w.call(ALICE, "GET", "/v1/clustertemplates", None).await;
    let first = got.body["clustertemplates"].as_array().unwrap().len();
    assert!((100..150).contains(&first), "{first}");
    assert!(got.body.to_string().len() < 9 * 1024 * 1024);
    let next = got.body["next"].as_str().unwrap();
    let next = next.strip_prefix("http://HOST/container-infra").unwrap();
    let got = w.call(ALICE, "GET", next, None).await;
    let rest = got.body["clustertemplates"].as_array().unwrap().len();
    assert_eq!(first + rest, 150);
    assert_eq!(got.body.get("next"), None);
}

#[tokio::test]
async fn labels_that_would_only_pretend_to_protect_are_refused() {
    let w = Fixture::new().await;
    let create = async |name: &str, value: &str| {
        let body = json!({"name": "k", "coe": "kubernetes", "image_id": "kubernetes",
            "external_network_id": "public", "keypair_id": "kp", "flavor_id": "m1.small",
            "master_flavor_id": "m1.small", "labels": {name: value}});
        w.call(ALICE, "POST", "/v1/clustertemplates", Some(body))
            .await
    };
    let cases = [
        ("kube_allow_priv", "true", "false"),
        ("keystone_auth_enabled", "True", "no"),
        ("selinux_mode", "enforcing", "permissive"),
        ("master_lb_allowed_cidrs", "", "10.0.0.0/8"),
        ("cert_manager_api", "0", "1"),
        ("cluster_basic_auth_secret", " ", "s"),
        ("kube_image_digest", "", "sha256:00"),
    ];
    for (name, default, other) in cases {
        let got = create(name, default).await;
        assert_eq!(got.status, 201, "{name}: {}", got.body);
        let got = create(name, other).await;
        assert_eq!(got.status, 400, "{name}: {}", got.body);
        let why = got.body["errors"][0]["detail"].as_str().unwrap();
        assert!(why.contains(name) && why.contains("no effect yet"), "{why}");
    }
}

#[tokio::test]
async fn a_health_reason_is_an_object_of_limited_size() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let patch = async |value: Value| {
        let body = json!([{"op": "replace", "path": "/health_status_reason", "value": value}]);
        let path = format!("/v1/clusters/{id}");
        w.call(ALICE, "PATCH", &path, Some(body)).await.status
    };
    assert_eq!(patch(json!({"api": "ok"})).await, 202);
    assert_eq!(patch(json!("5")).await, 400);
    assert_eq!(patch(json!(["a"])).await, 400);
    assert_eq!(patch(json!({"a": "x".repeat(70_000)})).await, 400);
}
