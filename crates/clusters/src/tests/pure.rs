//! Pure rules: names, labels, the choice of nodes, the template.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::model::compare_labels;
use crate::cluster::resize::choose;
use crate::coe::hot::{FixedNetwork, Shape, Sizes, size_parameters, template};
use crate::coe::swarm::render::flavour;
use crate::node::{Node, NodeStatus};

fn node(index: i64, status: NodeStatus) -> Node {
    Node {
        id: format!("id{index}"),
        name: format!("n-{index}"),
        index,
        status,
        ..Node::default()
    }
}

#[test]
fn failed_nodes_leave_first_then_named_then_newest() {
    let all = [
        node(0, NodeStatus::Ready),
        node(1, NodeStatus::Failed),
        node(2, NodeStatus::Ready),
        node(3, NodeStatus::Ready),
    ];
    let nodes: Vec<&Node> = all.iter().collect();
    let pick = |count, named: &[&str]| {
        let named: Vec<String> = named.iter().map(|s| (*s).to_owned()).collect();
        let choice = choose(&nodes, count, &named, false).unwrap();
        let leave: Vec<i64> = choice.leave.iter().map(|n| n.index).collect();
        (leave, choice.add)
    };
    assert_eq!(pick(3, &[]), (vec![1], 0));
    assert_eq!(pick(4, &[]), (vec![1], 1));
    assert_eq!(pick(2, &["n-0"]), (vec![0, 1], 0));
    assert_eq!(pick(1, &[]), (vec![1, 3, 2], 0));
    assert!(choose(&nodes, 4, &["n-0".to_owned()], false).is_err());
}

#[test]
fn labels_are_compared_with_the_parents() {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let got = compare_labels(
        &map(&[("a", "2"), ("b", "1")]),
        &map(&[("a", "1"), ("c", "1")]),
    );
    assert_eq!(
        got,
        [map(&[("a", "1")]), map(&[("b", "1")]), map(&[("c", "1")])]
    );
}

#[test]
fn names_become_host_names() {
    assert_eq!(crate::names::sanitised("My_Cluster.1", 30), "my-cluster-1");
    assert_eq!(crate::names::sanitised("a--------", 5), "a");
    let name = crate::names::random("cluster");
    assert_eq!(name.split('-').count(), 3);
}

#[test]
fn the_template_has_a_router_only_where_there_is_an_external_network() {
    let shape = Shape {
        prefix: "c-1".into(),
        external_network: Some("public".into()),
        ..Shape::default()
    };
    let hot: Value = serde_json::from_str(&template(&shape, &flavour())).unwrap();
    let seed = hot["resources"]["masters"]["properties"]["resource_def"]["properties"]["user_data"]
        ["str_replace"]["template"]
        .as_str()
        .unwrap()
        .replace("%index%", "7");
    let seed: Value = serde_json::from_str(&seed).unwrap();
    assert_eq!(
        (&seed["node"], &seed["index"], &seed["role"]),
        (&"c-1-master-7".into(), &7.into(), &"manager".into())
    );
    assert!(hot["resources"]["router"].is_object());
    let fixed = FixedNetwork {
        network: "net".into(),
        gateway: "10.9.0.1".into(),
    };
    let shape = Shape {
        fixed_network: Some(fixed),
        ..shape
    };
    let hot: Value = serde_json::from_str(&template(&shape, &flavour())).unwrap();
    assert!(hot["resources"]["router"].is_null() && hot["resources"]["network"].is_null());
    assert_eq!(hot["outputs"]["network"]["value"], "net");
}

#[tokio::test]
async fn the_engine_accepts_the_template_and_its_updates() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("t.db").display());
    let db = db::Db::connect(&url).await.unwrap();
    db.migrate(orchestration::migrations()).await.unwrap();
    let (network, compute) = super::world::faces();
    let engine = orchestration::Orchestration::new(
        db,
        network,
        compute,
        std::sync::Arc::new(orchestration::PlainSealer),
    );
    let stacks = engine.face().stacks;
    let ctx = kernel::Ctx::for_project("req-1", "p1");
    let fixed = FixedNetwork {
        network: "net".into(),
        gateway: "10.9.0.1".into(),
    };
    for fixed_network in [None, Some(fixed)] {
        let shape = Shape {
            prefix: "c-1".into(),
            external_network: Some("public".into()),
            keypair: Some("kp".into()),
            dns: vec!["8.8.8.8".into()],
            cidr: Some("10.70.0.0/24".into()),
            fixed_network,
        };
        let mut sizes = Sizes {
            wait_count: 2,
            ..Sizes::default()
        };
        for group in [&mut sizes.masters, &mut sizes.workers] {
            group.count = 1;
            group.tokens.insert("0".into(), "token".into());
        }
        let mut parameters = size_parameters(&sizes);
        for (name, value) in [
            ("name", json!("c-1")),
            ("cluster_uuid", json!("u")),
            ("image", json!("swarm")),
            ("master_flavor", json!("m1.small")),
            ("node_flavor", json!("m1.small")),
            ("bootstrap_pin", json!("ab")),
            ("bootstrap_port", json!(9512)),
            ("wait_timeout", json!(3600)),
        ] {
            parameters.insert(name.into(), value);
        }
        let new = orchestration::face::NewStack {
            id: kernel::ids::uuid(),
            project_id: "p1".into(),
            name: format!("s-{}", kernel::ids::hex()),
            template: template(&shape, &flavour()),
            parameters,
            ..Default::default()
        };
        let stack = stacks.create(&ctx, new).await.unwrap();
        sizes.workers.removed.push("0".into());
        let update = orchestration::face::StackUpdate {
            parameters: size_parameters(&sizes),
            ..Default::default()
        };
        match stacks.update(&ctx, &stack.id, update).await {
            Ok(_) => {}
            Err(e) => assert_eq!(e.kind, kernel::Kind::Conflict, "{e}"),
        }
    }
}
