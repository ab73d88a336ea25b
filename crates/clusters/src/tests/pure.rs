//! Pure rules: names, labels, the template.

use compute::api::Isolation;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::model::compare_labels;
use crate::coe::hot::{
    FixedNetwork, GroupShape, GroupSize, Shape, Sizes, size_parameters, template,
};
use crate::coe::swarm::render::template_parts;
use crate::nodegroup::Group;

fn group(id: i64, role: &str) -> Group {
    Group {
        id,
        role: role.into(),
        ..Group::default()
    }
}

/// The groups of a new cluster.
fn groups() -> Vec<GroupShape> {
    let groups = [group(1, "master"), group(2, "worker")];
    groups.iter().map(GroupShape::of).collect()
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
        groups: groups(),
        external_network: Some("public".into()),
        ..Shape::default()
    };
    let hot: Value = serde_json::from_str(&template(&shape, &template_parts())).unwrap();
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
        gateway: "10.9.0.1".parse().unwrap(),
    };
    let shape = Shape {
        fixed_network: Some(fixed),
        ..shape
    };
    let hot: Value = serde_json::from_str(&template(&shape, &template_parts())).unwrap();
    assert!(hot["resources"]["router"].is_null() && hot["resources"]["network"].is_null());
    assert_eq!(hot["outputs"]["network"]["value"], "net");
}

/// The names for the first two groups are those in stacks of existing clusters.
#[test]
fn every_group_has_its_resource_parameters_and_output() {
    let all = [group(1, "master"), group(2, "worker"), group(3, "worker")];
    let shape = Shape {
        prefix: "c-1".into(),
        groups: all.iter().map(GroupShape::of).collect(),
        balancer: true,
        ..Shape::default()
    };
    let hot: Value = serde_json::from_str(&template(&shape, &template_parts())).unwrap();
    let names = |key: &str| -> Vec<String> {
        let all = hot[key].as_object().unwrap();
        all.keys().cloned().collect()
    };
    let outputs = [
        "master_addresses",
        "node_addresses",
        "node3_addresses",
        "network",
        "balancer_address",
    ];
    assert_eq!(names("outputs"), outputs);
    let resources = names("resources");
    for (resource, word) in [
        ("masters", "master"),
        ("workers", "node"),
        ("workers3", "node3"),
    ] {
        assert!(resources.contains(&resource.to_owned()), "{resources:?}");
        let group = &hot["resources"][resource]["properties"];
        assert_eq!(group["count"]["get_param"], format!("{word}_count"));
        let server = &group["resource_def"]["properties"];
        assert_eq!(server["name"], format!("c-1-{word}-%index%"));
        assert_eq!(server["flavor"]["get_param"], format!("{word}_flavor"));
        let image = if word == "node3" {
            "node3_image"
        } else {
            "image"
        };
        assert_eq!(server["image"]["get_param"], image);
        assert!(hot["parameters"][image].is_object(), "{image}");
        for parameter in ["count", "flavor", "tokens", "removed"] {
            let name = format!("{word}_{parameter}");
            assert!(hot["parameters"][&name].is_object(), "{name}");
        }
    }
    let balancer = &hot["resources"]["balancer"]["properties"];
    assert_eq!(balancer["flavor"]["get_param"], "node_flavor");
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
        gateway: "10.9.0.1".parse().unwrap(),
    };
    let kubernetes = crate::coe::kubernetes::render::template_parts(6443);
    let cases = [
        (None, template_parts(), false),
        (Some(fixed.clone()), template_parts(), false),
        (None, kubernetes.clone(), false),
        (None, kubernetes.clone(), true),
        (Some(fixed), kubernetes, true),
    ];
    for (fixed_network, flavour, balancer) in cases {
        let shape = Shape {
            prefix: "c-1".into(),
            groups: groups(),
            external_network: Some("public".into()),
            keypair: Some("kp".into()),
            dns: vec!["8.8.8.8".into()],
            cidr: Some("10.70.0.0/24".into()),
            fixed_network,
            balancer,
            isolation: Isolation::UserNamespace,
        };
        let mut sizes = Sizes {
            wait_count: 2,
            ..Sizes::default()
        };
        for group in &shape.groups {
            sizes.groups.push(GroupSize {
                word: group.word.clone(),
                count: 1,
                tokens: BTreeMap::from([("0".into(), "token".into())]),
                removed: Vec::new(),
            });
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
            id: orchestration::StackId::random(),
            project_id: "p1".into(),
            name: format!("s-{}", kernel::ids::hex()),
            template: template(&shape, &flavour),
            parameters,
            ..Default::default()
        };
        let stack = stacks.create(&ctx, new).await.unwrap();
        sizes.groups[1].removed.push("0".into());
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
        assert_eq!(
            row.contains("no other value is accepted"),
            is_limited,
            "{row}"
        );
    }
    let rows = text.lines().filter(|l| l.starts_with("| `")).count();
    assert_eq!(rows, CATALOGUE.len());
}
