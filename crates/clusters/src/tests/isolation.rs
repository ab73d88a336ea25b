//! The isolation level of clusters, and who may create them.

use rest::policy::Policies;
use serde_json::json;

use super::fixture::*;

const BOB: &str = "bob:p2:member";

#[tokio::test]
async fn every_cluster_shows_its_level() {
    // Rows of an earlier release have the default of the column.
    for test in testkit::every_database(&crate::migrations()).await {
        let w = Fixture::on(test.db.clone(), tempfile::tempdir().unwrap());
        let id = w.cluster().await;
        assert_eq!(w.show(&id).await["isolation"], "host-root", "{}", test.name);
        let own = w
            .own_target(ALICE, &format!("/clusters/{id}/progress"))
            .await;
        assert_eq!(own.body["isolation"], "host-root", "{}", test.name);
        let detail = w.call(ALICE, "GET", "/v1/clusters/detail", None).await;
        assert_eq!(detail.body["clusters"][0]["isolation"], "host-root");
        let list = w.call(ALICE, "GET", "/v1/clusters", None).await;
        assert!(list.body["clusters"][0].get("isolation").is_none());
    }
}

#[tokio::test]
async fn a_policy_says_which_projects_may_create_clusters_of_a_level() {
    let dir = tempfile::tempdir().unwrap();
    let db = db::Db::connect(&format!("sqlite:{}", dir.path().join("t.db").display()))
        .await
        .unwrap();
    db.migrate(&crate::migrations()).await.unwrap();
    let policies = Policies::new(crate::policies()).unwrap();
    let rule = ("cluster:create:host-root".into(), "project_id:p1".into());
    policies.set_overrides([rule].into()).unwrap();
    let w = Fixture::with_policies(db, dir, policies);
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
        why.contains("cluster:create:host-root") && why.contains("isolation level host-root"),
        "{why}"
    );
    let list = w.call(BOB, "GET", "/v1/clusters", None).await;
    assert_eq!(list.body["clusters"], json!([]));
}
