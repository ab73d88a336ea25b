//! Rows: every column is listed once, and an unknown stored value is never
//! treated as a known one.

use kernel::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

use db::{Db, Table, values};
use serde_json::json;

use super::fixture::*;
use crate::cluster::model::{Cluster, Intent};
use crate::cluster::table;
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;
use crate::kube::table::KubeRow;
use crate::node::table::Swarm;
use crate::node::{Node, NodeStatus, Task, TaskKind, TaskStatus};
use crate::nodegroup::Group;
use crate::status::{Action, Phase, Status};
use crate::template::Template;

async fn named<T: Table>(db: &Db, besides: &[&str]) {
    let mut named = [T::COLUMNS, besides].concat();
    named.sort_unstable();
    let there = db::columns_of(db, T::TABLE).await.unwrap();
    assert_eq!(named, there, "{}", T::TABLE);
}

async fn same<T: Table + std::fmt::Debug>(db: &Db, row: T) {
    named::<T>(db, &[]).await;
    db::write!(db, |tx| row.insert(tx).await).unwrap();
    let found = db.query(&T::select(), values![]).await.unwrap();
    let read = T::read(&found[0]).unwrap();
    assert_eq!(format!("{read:?}"), format!("{row:?}"));
}

#[tokio::test]
async fn every_column_is_listed_and_round_trips() {
    for test in testkit::every_database(&crate::migrations()).await {
        let db = &test.db;
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let cluster = Cluster {
            uuid: "c".into(),
            labels: labels.clone(),
            keypair: Some("k".into()),
            status: Status::new(Action::Update, Phase::Failed).into(),
            coe: "kubernetes".into(),
            isolation: "host-root".into(),
            health_status_reason: json!({ "api": "ok" }),
            floating_ip_enabled: true,
            intent: Intent::Rollback,
            generation: 3,
            rollback: Some(2),
            cause: Some("because".into()),
            updated_at: Some(Timestamp::from_micros(4)),
            ..Cluster::default()
        };
        named::<Cluster>(db, &table::CA).await;
        db::write!(db, |tx| table::insert(tx, &cluster, "cert", "key").await).unwrap();
        assert_eq!(table::load(db, &cluster.uuid).await.unwrap(), Some(cluster));
        let ca = table::ca(db, &"c".into()).await.unwrap();
        assert_eq!(ca, Some(("cert".into(), "key".into())));
        let group = Group {
            id: 2,
            uuid: "g".into(),
            cluster_id: "c".into(),
            labels: labels.clone(),
            node_addresses: vec!["10.0.0.1".into()],
            max_node_count: Some(9),
            ..Group::default()
        };
        same(db, group).await;
        let mut node = Node {
            id: "n".into(),
            cluster_id: "c".into(),
            index: 7,
            is_balancer: true,
            status: NodeStatus::Leaving,
            signal: Some("SUCCESS".into()),
            pod_cidr: Some("10.0.1.0/24".into()),
            ..Node::default()
        };
        node.report("join", "done", Timestamp::from_micros(5), "log");
        same(db, node).await;
        let mut task = Task::new(
            &"c".into(),
            TaskKind::PromoteMember,
            "n",
            Timestamp::from_micros(1),
            Duration::from_secs(2),
        );
        task.taken_by = Some("m".into());
        same(db, task).await;
        let template = Template {
            uuid: "t".into(),
            labels,
            apiserver_port: Some(6443),
            public: true,
            ..Template::default()
        };
        same(db, template).await;
        let row = KubeRow {
            cluster_id: "c".into(),
            networks: db::Json(Networks::of(&BTreeMap::new(), None).unwrap()),
            etcd_ca_cert: "1".into(),
            etcd_ca_key: "2".into(),
            front_ca_cert: "3".into(),
            front_ca_key: "4".into(),
            token_key: "5".into(),
        };
        same(db, row).await;
        let swarm = Swarm {
            cluster_id: "c".into(),
            join_sealed: Some("sealed".into()),
            observed: "{}".into(),
        };
        same(db, swarm).await;
    }
}

#[test]
fn an_unknown_stored_value_is_an_error() {
    let newer = |e: kernel::Error| {
        assert!(e.is_transient(), "{e}");
        assert!(e.message.contains("was written by a newer version"), "{e}");
    };
    newer(Intent::from_stored("upgrade").unwrap_err());
    newer(NodeStatus::from_stored("hibernated").unwrap_err());
    newer(Coe::from_stored("nomad").unwrap_err());
    newer(Status::parse("cluster", "ADOPT_COMPLETE").unwrap_err());
    newer(TaskKind::from_stored("upgrade").unwrap_err());
    newer(TaskStatus::from_stored("skipped").unwrap_err());
    for intent in ["create", "resize", "rollback", "rotate-ca", "delete"] {
        assert_eq!(Intent::from_stored(intent).unwrap().as_stored(), intent);
    }
}

async fn set(w: &Fixture, table: &str, column: &str, word: &str) {
    let sql = format!("UPDATE {table} SET {column} = ?");
    db::write!(w.db, |tx| tx.execute(&sql, values![word]).await).unwrap();
}

async fn everything(w: &Fixture) -> String {
    let mut out = String::new();
    for (table, columns) in [
        (
            "magnum_cluster",
            "status, intent || isolation AS intent, coe",
        ),
        ("magnum_nodegroup", "status, '' AS intent, name AS coe"),
        ("magnum_node", "status, '' AS intent, name AS coe"),
        ("magnum_task", "status, kind AS intent, node AS coe"),
    ] {
        let sql = format!("SELECT {columns} FROM {table}");
        for row in w.db.query(&sql, vec![]).await.unwrap() {
            for column in ["status", "intent", "coe"] {
                out.push_str(&row.text(column).unwrap());
                out.push(' ');
            }
        }
    }
    out
}

#[tokio::test]
async fn what_a_newer_release_has_written_is_shown_and_left_alone() {
    for (table, column, word) in [
        ("magnum_cluster", "status", "HIBERNATE_IN_PROGRESS"),
        ("magnum_cluster", "intent", "upgrade"),
        ("magnum_cluster", "coe", "nomad"),
        ("magnum_cluster", "isolation", "vm"),
        ("magnum_nodegroup", "status", "HIBERNATE_COMPLETE"),
        ("magnum_node", "status", "hibernated"),
        ("magnum_task", "kind", "upgrade"),
        ("magnum_task", "status", "skipped"),
    ] {
        let w = Fixture::new().await;
        let id = w.cluster().await;
        let task = Task::new(
            &id,
            TaskKind::Drain,
            "n",
            Timestamp::EPOCH,
            Duration::from_secs(1),
        );
        db::write!(w.db, |tx| task.insert(tx).await).unwrap();
        set(&w, table, column, word).await;
        let before = everything(&w).await;
        let sent_parameters = w.heat.lock().parameters.clone();
        let run = w.run_once(&id).await;
        // A run that waits for the stack reads no groups.
        if table != "magnum_nodegroup" {
            // The reconciler backs off and reports the reason.
            let failure = run.unwrap_err();
            assert!(failure.message.contains("newer version"), "{failure}");
            assert!(failure.message.contains(word), "{failure}");
        }
        let list = w.call(ALICE, "GET", "/v1/clusters", None).await;
        assert_eq!(list.status, 200, "{}", list.body);
        let own = w
            .own_target(ALICE, &format!("/clusters/{id}/progress"))
            .await;
        assert_eq!(own.status, 200, "{}", own.body);
        if column == "status" && table == "magnum_cluster" {
            assert_eq!(list.body["clusters"][0]["status"], word);
            assert_eq!(own.body["status"], word);
        }
        if column == "isolation" {
            assert_eq!(own.body["isolation"], word);
        }
        if table == "magnum_node" {
            assert_eq!(own.body["nodes"][0]["status"], word);
        }
        if ["magnum_cluster", "magnum_nodegroup"].contains(&table) {
            let path = format!("/v1/clusters/{id}");
            let got = w.call(ALICE, "DELETE", &path, None).await;
            assert_eq!(got.status, 503, "{}", got.body);
            let why = got.body["errors"][0]["detail"].as_str().unwrap();
            assert!(why.contains("newer version"), "{why}");
        }
        assert_eq!(everything(&w).await, before);
        assert_eq!(w.heat.lock().parameters, sent_parameters);
    }
}
