//! Kubernetes: the release selected by a label.

use serde_json::{Value, json};

use super::fixture::*;

/// A fixture with a template of the newest release.
async fn templated() -> Fixture {
    let w = Fixture::new().await;
    let template = json!({ "name": "k", "coe": "kubernetes", "image_id": "kubernetes",
        "external_network_id": "public", "keypair_id": "kp", "flavor_id": "m1.small",
        "master_flavor_id": "m1.small" });
    let got = w
        .call(ALICE, "POST", "/v1/clustertemplates", Some(template))
        .await;
    assert_eq!(got.status, 201, "{}", got.body);
    w
}

async fn labelled(w: &Fixture, labels: Value) -> TestResponse {
    let body = json!({ "name": "c", "cluster_template_id": "k", "labels": labels });
    w.call(ALICE, "POST", "/v1/clusters", Some(body)).await
}

#[tokio::test]
async fn a_label_chooses_among_the_releases_that_are_registered() {
    for (labels, image) in [
        (json!({ "kube_tag": "v1.35.4-rancher1" }), "older"),
        (json!({ "kube_version": "1.35.4" }), "older"),
        (
            json!({ "kube_tag": "v1.36.3", "kube_version": "v9" }),
            "kubernetes",
        ),
        (json!({}), "kubernetes"),
    ] {
        let w = templated().await;
        let got = labelled(&w, labels).await;
        assert_eq!(got.status, 202, "{}", got.body);
        w.settle().await;
        assert_eq!(w.heat.lock().parameters["image"], image);
    }
    let w = templated().await;
    let got = labelled(&w, json!({ "kube_tag": "v1.23.3-rancher1" })).await;
    assert_eq!(got.status, 400);
    let why = got.body["errors"][0]["detail"].as_str().unwrap();
    assert!(
        why.contains("labels/kube_tag") && why.contains("are: v1.35.4, v1.36.3;"),
        "{why}"
    );
}
