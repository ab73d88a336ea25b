//! Pure rules: names, labels, the selection of nodes, the template.

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

/// The next step of a Kubernetes resize, for all possible task results.
#[test]
fn removals_are_repeated_until_the_cluster_has_noticed() {
    use crate::cluster::Cluster;
    use crate::cluster::model::Intent;
    use crate::cluster::plan::{PlanStep, decide};
    use crate::coe::Coe;
    use crate::node::Task;
    use orchestration::api::{Action, Stack, Status};
    const SECOND: i64 = 1_000_000;
    let cluster = Cluster {
        status: "UPDATE_IN_PROGRESS".into(),
        intent: Intent::Resize,
        generation: 2,
        sent_generation: 2,
        ..Cluster::default()
    };
    let stack = Stack {
        id: "s".into(),
        project_id: "p1".into(),
        name: "s".into(),
        action: Action::Update,
        status: Status::Complete,
        status_reason: String::new(),
        outputs: BTreeMap::new(),
        generation: 2,
    };
    let mut master = node(0, NodeStatus::Ready);
    master.is_master = true;
    let mut leaving = node(1, NodeStatus::Leaving);
    leaving.session_hash = Some("x".into());
    let silent = node(2, NodeStatus::Leaving);
    let nodes = [master, leaving, silent];
    let step = |tasks: &[Task], nodes: &[Node], now: i64| {
        decide(Coe::Kubernetes, &cluster, nodes, tasks, Some(&stack), now)
    };
    let mut tasks = Vec::new();
    for round in 0..5 {
        let now = round * 20 * SECOND;
        assert_eq!(
            step(&tasks, &nodes, now),
            PlanStep::RemoveNodeObjects(vec!["n-1".into()])
        );
        let mut task = Task::new("c", "remove", "n-1", now, 15);
        task.generation = 2;
        tasks.push(task.clone());
        assert!(
            matches!(step(&tasks, &nodes, now), PlanStep::WaitUntil(at, _) if at == now + 15 * SECOND)
        );
        let last = tasks.last_mut().unwrap();
        last.status = "failed".into();
        last.log = "pod a/b: evicted, but it has not ended yet".into();
        if round < 4 {
            let soon = step(&tasks, &nodes, now + SECOND);
            assert!(matches!(soon, PlanStep::WaitUntil(at, _) if at == now + 15 * SECOND));
        }
    }
    let PlanStep::Finish(Err(why)) = step(&tasks, &nodes, 200 * SECOND) else {
        panic!("it goes on");
    };
    assert!(
        why.contains("Node n-1: step remove failed: pod a/b"),
        "{why}"
    );
    tasks.last_mut().unwrap().status = "done".into();
    assert_eq!(step(&tasks, &nodes, 200 * SECOND), PlanStep::Finish(Ok(())));
    // Without a master no task can be given.
    assert_eq!(step(&[], &nodes[1..], 0), PlanStep::Finish(Ok(())));
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
    let (network, compute) = super::fixture::apis(&std::sync::Arc::default());
    let engine = orchestration::Orchestration::new(
        db,
        network,
        compute,
        std::sync::Arc::new(orchestration::PlainSealer),
    );
    let stacks = engine.api().stacks;
    let ctx = kernel::Ctx::for_project("req-1", "p1");
    let fixed = FixedNetwork {
        network: "net".into(),
        gateway: "10.9.0.1".into(),
    };
    let kubernetes = crate::coe::kubernetes::render::flavour(6443);
    let cases = [
        (None, flavour(), false),
        (Some(fixed.clone()), flavour(), false),
        (None, kubernetes.clone(), false),
        (None, kubernetes.clone(), true),
        (Some(fixed), kubernetes, true),
    ];
    for (fixed_network, flavour, balancer) in cases {
        let shape = Shape {
            prefix: "c-1".into(),
            external_network: Some("public".into()),
            keypair: Some("kp".into()),
            dns: vec!["8.8.8.8".into()],
            cidr: Some("10.70.0.0/24".into()),
            fixed_network,
            balancer,
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
        if balancer {
            parameters.insert("balancer_token".into(), json!("token"));
        }
        let new = orchestration::api::NewStack {
            id: kernel::ids::uuid(),
            project_id: "p1".into(),
            name: format!("s-{}", kernel::ids::hex()),
            template: template(&shape, &flavour),
            parameters,
            ..Default::default()
        };
        let stack = stacks.create(&ctx, new).await.unwrap();
        sizes.workers.removed.push("0".into());
        let update = orchestration::api::StackUpdate {
            parameters: size_parameters(&sizes),
            ..Default::default()
        };
        match stacks.update(&ctx, &stack.id, update).await {
            Ok(_) => {}
            Err(e) => assert_eq!(e.kind, kernel::Kind::Conflict, "{e}"),
        }
    }
}

#[test]
fn every_known_label_is_in_the_document() {
    use crate::coe::kubernetes::labels::{CATALOGUE, Effect};
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/kubernetes-labels.md"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut seen = "";
    for (name, _, effect) in CATALOGUE {
        assert!(seen < *name, "{name} is out of order");
        seen = name;
        let word = match effect {
            Effect::Server => "server",
            Effect::Nodes => "nodes",
            Effect::None | Effect::OnlyDefault(_) => "none",
        };
        let row = text
            .lines()
            .find(|l| l.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("{name} is not in {path}"));
        assert!(row.contains(&format!("| {word} |")), "{name}: {row}");
        let is_limited = matches!(effect, Effect::OnlyDefault(_));
        assert_eq!(row.contains("no other is accepted"), is_limited, "{row}");
    }
    let rows = text.lines().filter(|l| l.starts_with("| `")).count();
    assert_eq!(rows, CATALOGUE.len());
}
