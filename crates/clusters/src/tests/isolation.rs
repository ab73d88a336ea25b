//! The isolation level of clusters, and who may create them.

use rest::policy::Policies;
use serde_json::json;

use super::fixture::*;

const BOB: &str = "bob:p2:member";
/// What the fixture's host offers.
const LEVEL: &str = "user-namespace";
const HOST_ROOT: &str = "cluster:create:host-root";

#[tokio::test]
async fn every_cluster_shows_its_level() {
    // Rows of an earlier release have the default of the column.
    for test in testkit::every_database(&crate::migrations()).await {
        let w = Fixture::on(test.db.clone(), tempfile::tempdir().unwrap());
        let id = w.cluster().await;
        assert_eq!(w.show(&id).await["isolation"], LEVEL, "{}", test.name);
        let own = w
            .own_target(ALICE, &format!("/clusters/{id}/progress"))
            .await;
        assert_eq!(own.body["isolation"], LEVEL, "{}", test.name);
        let detail = w.call(ALICE, "GET", "/v1/clusters/detail", None).await;
        assert_eq!(detail.body["clusters"][0]["isolation"], LEVEL);
        let list = w.call(ALICE, "GET", "/v1/clusters", None).await;
        assert!(list.body["clusters"][0].get("isolation").is_none());
    }
}

#[tokio::test]
async fn a_policy_says_which_projects_may_create_clusters_of_a_level() {
    let w = with_rule("cluster:create:user-namespace", "project_id:p1").await;
    w.cluster().await;

    let mut template = template_body();
    template["name"] = json!("t2");
    let got = w
        .call(BOB, "POST", "/v1/clustertemplates", Some(template))
        .await;
    assert_eq!(got.status, 201, "{}", got.body);
    let body = json!({ "name": "c2", "cluster_template_id": "t2", "node_count": 1 });
    let got = w.call(BOB, "POST", "/v1/clusters", Some(body)).await;
    assert_eq!(got.status, 403, "{}", got.body);
    let why = got.body["errors"][0]["detail"].as_str().unwrap();
    assert!(
        why.contains("cluster:create:user-namespace")
            && why.contains("isolation level user-namespace"),
        "{why}"
    );
    let list = w.call(BOB, "GET", "/v1/clusters", None).await;
    assert_eq!(list.body["clusters"], json!([]));
}

/// A fixture in which this rule of the policy is as given.
async fn with_rule(name: &str, rule: &str) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let db = db::Db::connect(&format!("sqlite:{}", dir.path().join("t.db").display()))
        .await
        .unwrap();
    db.migrate(&crate::migrations()).await.unwrap();
    let policies = Policies::new(crate::policies()).unwrap();
    let rule = (name.into(), rule.to_owned());
    policies.set_overrides([rule].into()).unwrap();
    Fixture::with_policies(db, dir, policies)
}

/// Creates a cluster with the label, and returns status, level or error text.
async fn create(w: &Fixture, name: &str, label: Option<&str>) -> (u16, String) {
    let template = match w
        .call(ALICE, "GET", "/v1/clustertemplates", None)
        .await
        .body["clustertemplates"]
        .as_array()
        .unwrap()
        .first()
    {
        Some(found) => found["uuid"].clone(),
        None => {
            let made = w
                .call(ALICE, "POST", "/v1/clustertemplates", Some(template_body()))
                .await;
            made.body["uuid"].clone()
        }
    };
    let mut body = json!({ "name": name, "cluster_template_id": template, "node_count": 1 });
    if let Some(level) = label {
        body["labels"] = json!({ "isolation": level });
    }
    let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
    if got.status != 202 {
        let why = got.body["errors"][0]["detail"].as_str().unwrap();
        return (got.status, why.to_owned());
    }
    let id = got.body["uuid"].as_str().unwrap();
    (
        got.status,
        w.show(id).await["isolation"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn a_label_chooses_the_level() {
    let w = with_rule(HOST_ROOT, "@").await;
    for (name, label, level) in [
        ("a", None, "user-namespace"),
        ("b", Some(""), "user-namespace"),
        ("c", Some("User-Namespace"), "user-namespace"),
        ("d", Some("host-root"), "host-root"),
    ] {
        assert_eq!(
            create(&w, name, label).await,
            (202, level.to_owned()),
            "{name}"
        );
    }
    let (status, why) = create(&w, "e", Some("vm")).await;
    assert_eq!(status, 400, "{why}");
    assert!(
        why.contains("labels/isolation") && why.contains("user-namespace"),
        "{why}"
    );

    let w = with_rule(HOST_ROOT, "!").await;
    let (status, why) = create(&w, "f", Some("host-root")).await;
    assert_eq!(status, 403, "{why}");
    assert!(why.contains("Leave the label isolation out"), "{why}");
}

#[tokio::test]
async fn a_host_without_user_namespaces_is_named() {
    let missing = "the engine has no runtime jeroboam-userns";
    let w = with_rule(HOST_ROOT, "!").await;
    w.offer(compute::api::OfferedIsolation::host_root(missing));
    let (status, why) = create(&w, "a", None).await;
    assert_eq!(status, 403, "{why}");
    assert!(why.contains("host-root") && why.contains(missing), "{why}");
    let (status, why) = create(&w, "b", Some("user-namespace")).await;
    assert_eq!(status, 400, "{why}");
    assert!(
        why.contains("labels/isolation") && why.contains(missing),
        "{why}"
    );

    let w = with_rule(HOST_ROOT, "@").await;
    w.offer(compute::api::OfferedIsolation::host_root(missing));
    assert_eq!(create(&w, "c", None).await, (202, "host-root".to_owned()));
}
