//! Operations on one cluster at the same time, and workers without a lease.

use kernel::Kind;
use serde_json::{Value, json};

use super::fixture::*;
use crate::cluster::{KIND, heal, operation, table};
use crate::status::{Action, Phase, Status};

/// Runs on every available database; the directory must outlive the fixture.
async fn fixtures() -> Vec<(testkit::TestDb, Fixture)> {
    let mut out = Vec::new();
    for test in testkit::every_database(&crate::migrations()).await {
        let w = Fixture::on(test.db.clone(), tempfile::tempdir().unwrap());
        out.push((test, w));
    }
    out
}

#[tokio::test]
async fn one_of_two_concurrent_operations_is_refused() {
    for (test, w) in fixtures().await {
        let id = w.cluster().await;
        w.complete().await;
        let path = format!("/v1/clusters/{id}/actions/resize");
        let resize = |n: i64| w.call(ALICE, "POST", &path, Some(json!({ "node_count": n })));
        let (a, b, c) = tokio::join!(resize(3), resize(4), resize(5));
        let all = [(3, a), (4, b), (5, c)];
        // An operation that read after the first one had started may follow it.
        assert!(
            all.iter().any(|(_, got)| got.status == 202),
            "{}",
            test.name
        );
        for (_, got) in all.iter().filter(|(_, got)| got.status != 202) {
            assert_eq!(got.status, 409, "{}: {}", test.name, got.body);
            let why = got.body["errors"][0]["detail"].as_str().unwrap();
            assert!(why.contains("was changed at the same time"), "{why}");
        }
        let shown = w.show(&id).await["node_count"].clone();
        let accepted = |(n, got): &(i64, TestResponse)| got.status == 202 && shown == *n;
        assert!(all.iter().any(accepted), "{}: {shown}", test.name);
        // The rows are those of one resize after the other.
        let nodes = crate::node::table::of_cluster(&w.db, &id).await.unwrap();
        let wanted = nodes.iter().filter(|n| n.status.wanted() && !n.is_master);
        assert_eq!(Value::from(wanted.count()), shown, "{}", test.name);
    }
}

#[tokio::test]
async fn an_operation_with_stale_data_is_refused() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    w.complete().await;
    let found = table::load(&w.db, &id).await.unwrap().unwrap();
    let path = format!("/v1/clusters/{id}/actions/resize");
    let got = w
        .call(ALICE, "POST", &path, Some(json!({ "node_count": 3 })))
        .await;
    assert_eq!(got.status, 202);
    let late = db::write!(w.db, |tx| operation::lock_unchanged(tx, &found).await);
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
}

#[tokio::test]
async fn a_patch_is_applied_as_a_whole_or_not_at_all() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let path = format!("/v1/clusters/{id}");
    let body = json!([
        { "op": "replace", "path": "/health_status", "value": "UNHEALTHY" },
        { "op": "replace", "path": "/node_count", "value": 3 },
    ]);
    // The cluster is still being created, so its size cannot be changed.
    let got = w.call(ALICE, "PATCH", &path, Some(body.clone())).await;
    assert_eq!(got.status, 400, "{}", got.body);
    assert_eq!(w.show(&id).await["health_status"], Value::Null);
    w.complete().await;
    let got = w.call(ALICE, "PATCH", &path, Some(body)).await;
    assert_eq!(got.status, 202, "{}", got.body);
    let shown = w.show(&id).await;
    assert_eq!(shown["health_status"], "UNHEALTHY");
    assert_eq!(shown["node_count"], 3);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let before = w.show(&id).await;
    let old = w.claim(&id).await;
    db::release_all(&w.db).await.unwrap();
    let new = w.claim(&id).await;
    assert!(new.epoch > old.epoch);
    let c = table::load(&w.db, &id).await.unwrap().unwrap();
    let late = db::fenced!(w.db, old, |tx| {
        let failed = Status::new(Action::Create, Phase::Failed);
        table::set_status(tx, &c, failed, Some("late")).await
    });
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    let late = heal::resize_to_current_size(&w.deps, &old, &c).await;
    assert_eq!(late.unwrap_err().kind, Kind::Conflict);
    assert_eq!(w.show(&id).await, before);
    db::complete(&w.db, &new, &db::RunOutcome::Clean)
        .await
        .unwrap();
    assert_eq!(new.kind, KIND);
}

#[tokio::test]
async fn a_template_is_not_deleted_while_a_cluster_of_it_is_made() {
    for (test, w) in fixtures().await {
        let template = w.template().await;
        let body = json!({ "name": "c1", "cluster_template_id": "t1", "node_count": 1 });
        let path = format!("/v1/clustertemplates/{template}");
        let (made, deleted) = tokio::join!(
            w.call(ALICE, "POST", "/v1/clusters", Some(body)),
            w.call(ALICE, "DELETE", &path, None)
        );
        let answers = (made.status, deleted.status);
        assert!(
            [(202, 400), (404, 204), (400, 204)].contains(&answers),
            "{}: {answers:?}",
            test.name
        );
    }
}
