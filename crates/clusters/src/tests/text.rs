//! Input that no database can store in the same way, or that is larger or reaches
//! further than a project may, is refused before anything is made.

use kernel::Kind;
use serde_json::{Value, json};

use super::fixture::*;

#[tokio::test]
async fn control_characters_are_refused_on_every_database() {
    for test in testkit::every_database(&crate::migrations()).await {
        let w = Fixture::on(test.db.clone(), tempfile::tempdir().unwrap());
        for path in ["/v1/clusters/a%00b", "/v1/clusters?marker=%00"] {
            let got = w.call(ALICE, "GET", path, None).await;
            assert_eq!(got.status, 400, "{}: {path}: {}", test.name, got.body);
            let why = got.body["errors"][0]["detail"].as_str().unwrap();
            assert!(why.contains("control character"), "{why}");
        }
        w.template().await;
        let cluster = |name: &str, label: &str| json!({"name": name, "cluster_template_id": "t1", "labels": {"a": label}});
        for body in [cluster("a\0b", "x"), cluster("ab", "\0")] {
            let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
            assert_eq!(got.status, 400, "{}: {}", test.name, got.body);
            let why = got.body["errors"][0]["detail"].as_str().unwrap();
            assert!(why.contains("the character NUL is not allowed"), "{why}");
        }
        // Where such a text reaches the database, that is not an internal error.
        match crate::cluster::table::load(&w.db, &"a\0b".into()).await {
            Ok(found) => assert!(found.is_none(), "{}", test.name),
            Err(e) => assert!(matches!(e.kind, Kind::Invalid { .. }), "{e}"),
        }
        // An unknown name with other letters is only not found.
        let got = w.call(ALICE, "GET", "/v1/clusters/%C3%BC", None).await;
        assert_eq!(got.status, 404, "{}: {}", test.name, got.body);
        assert_ne!(got.body, Value::Null);
    }
}

#[tokio::test]
async fn labels_and_errors_are_bounded() {
    let w = Fixture::new().await;
    let template = w.template().await;
    let create = async |labels: Value| {
        let body = json!({"name": "a", "cluster_template_id": "t", "labels": labels});
        let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
        assert_eq!(got.status, 400, "{}", got.body);
        let why = got.body["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(why.len() < 3000, "{} bytes", why.len());
        why
    };
    let many = |count: usize, value: &str| -> Value {
        let all = (0..count).map(|i| (format!("l{i}"), Value::from(value)));
        Value::Object(all.collect())
    };
    assert!(create(many(257, "x")).await.contains("At most 256 labels"));
    let long = "x".repeat(16 * 1024 + 1);
    assert!(create(json!({"big": &long})).await.contains("label 'big'"));
    assert!(create(json!({"": "x"})).await.contains("1 to 255"));
    let name = "n".repeat(256);
    assert!(create(json!({name: "x"})).await.contains("1 to 255"));
    let most = "x".repeat(16 * 1024);
    assert!(create(many(4, &most)).await.contains("together"));
    // Each half is accepted, but both merged are too much.
    let half = "x".repeat(10_000);
    let labels = |name: &str| -> Value {
        let all = (0..4).map(|i| (format!("{name}{i}"), Value::from(&*half)));
        Value::Object(all.collect())
    };
    let more = labels("t");
    let patch = json!([{"op": "replace", "path": "/labels", "value": more}]);
    let path = format!("/v1/clustertemplates/{template}");
    let got = w.call(ALICE, "PATCH", &path, Some(patch)).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let body = json!({"name": "a", "cluster_template_id": template, "merge_labels": true,
        "labels": labels("c")});
    let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
    assert_eq!(got.status, 400, "{}", got.body);
    assert!(got.body.to_string().contains("together"), "{}", got.body);
    let patch = json!([{"op": "add", "path": "/labels/big", "value": long}]);
    let path = format!("/v1/clustertemplates/{template}");
    let got = w.call(ALICE, "PATCH", &path, Some(patch)).await;
    assert_eq!(got.status, 400, "{}", got.body);
    // What an error repeats of a request is bounded, too.
    let what = "y".repeat(1_000_000);
    assert!(create(Value::from(what)).await.contains("Wrong type"));
}

#[tokio::test]
async fn ranges_that_belong_to_the_host_or_to_others_are_refused() {
    let w = Fixture::new().await;
    let template = w.template().await;
    let with = async |range: &str| {
        let labels = json!({"fixed_subnet_cidr": range});
        let body = json!({"name": "a", "cluster_template_id": template, "labels": labels});
        w.call(ALICE, "POST", "/v1/clusters", Some(body)).await
    };
    for range in [
        "8.8.8.0/24",
        "127.0.0.0/8",
        "127.0.0.0/24",
        "169.254.169.0/24",
        "172.16.0.0/12",
        "10.0.0.0/15",
        "224.0.0.0/24",
        "0.0.0.0/16",
        "172.32.0.0/24",
        "100.128.0.0/24",
        "10.0.0.0/29",
        "10.64.3.5/24",
    ] {
        let got = with(range).await;
        assert_eq!(got.status, 400, "{range}: {}", got.body);
        let why = got.body["errors"][0]["detail"].as_str().unwrap();
        assert!(
            why.contains("fixed_subnet_cidr") && why.contains("private"),
            "{why}"
        );
    }
    let got = with("10.9.0.0/24").await;
    assert_eq!(got.status, 400, "in use: {}", got.body);
    let got = with("192.168.77.0/24").await;
    assert_eq!(got.status, 202, "{}", got.body);
}
