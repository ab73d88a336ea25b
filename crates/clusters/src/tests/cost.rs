//! Processor time per request, printed and never judged:
//! `cargo test -p clusters --release -- --ignored --nocapture processor_time`.

use serde_json::json;
use std::time::Duration;

use super::fixture::*;
use crate::cluster::{Cluster, table};
use crate::nodegroup::Group;
use crate::nodegroup::default::{MASTER, WORKER};
use crate::{ClusterId, GroupId};

const CLUSTERS: usize = 1000;

/// Time that this thread has run, nanoseconds.
fn ran() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

async fn measure(w: &Fixture, what: &str, count: u64, method: &str, path: &str, body: bool) {
    let body = || body.then(template_body);
    w.call(ALICE, method, path, body()).await;
    let before = ran();
    for _ in 0..count {
        let got = w.call_raw(ALICE, method, path, body()).await;
        assert!(got.status().is_success());
    }
    let micros = (ran() - before) / count / 1000;
    println!("{what}: {micros} µs");
}

#[tokio::test]
#[ignore = "measures; run it alone and with --release"]
async fn processor_time_per_request() {
    let w = Fixture::new().await;
    let template = w.template().await;
    w.cluster_from(&template).await;
    let list = w.call(ALICE, "GET", "/v1/clusters", None).await;
    let uuid = list.body["clusters"][0]["uuid"].as_str().unwrap().into();
    let pattern = table::load(&w.db, &uuid).await.unwrap().unwrap();
    db::write!(w.db, |tx| {
        for i in 1..CLUSTERS {
            let c = Cluster {
                uuid: ClusterId::random(),
                name: format!("c{i}"),
                created_at: pattern.created_at + Duration::from_micros(i.try_into().unwrap()),
                ..pattern.clone()
            };
            table::insert(tx, &c, "", "").await?;
            for (id, name, role) in [(1, MASTER, "master"), (2, WORKER, "worker")] {
                let group = Group {
                    id,
                    uuid: GroupId::random(),
                    name: name.into(),
                    cluster_id: c.uuid.clone(),
                    project_id: c.project_id.clone(),
                    labels: c.labels.clone(),
                    node_addresses: vec!["10.64.0.2".into(), "10.64.0.3".into()],
                    node_count: 2,
                    role: role.into(),
                    ..Group::default()
                };
                db::Table::insert(&group, tx).await?;
            }
        }
        Ok(())
    })
    .unwrap();
    let show = format!("/v1/clustertemplates/{template}");
    for round in 0..2 {
        println!("round {round}");
        measure(&w, "1000 clusters", 20, "GET", "/v1/clusters", false).await;
        let detail = "/v1/clusters/detail";
        measure(&w, "1000 clusters in detail", 20, "GET", detail, false).await;
        measure(&w, "template show", 500, "GET", &show, false).await;
        let create = "/v1/clustertemplates";
        measure(&w, "template create", 200, "POST", create, true).await;
    }
    let got = w.call(ALICE, "GET", "/v1/clusters", None).await;
    assert_eq!(got.body["clusters"].as_array().unwrap().len(), CLUSTERS);
    assert_ne!(got.body["clusters"][0], json!(null));
}
