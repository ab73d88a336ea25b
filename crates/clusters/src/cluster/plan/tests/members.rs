//! The nodes that operations add, replace and remove.

use super::*;
use crate::cluster::plan::NodeStep;
use crate::cluster::plan::nodes::{Members, create, resize, roll_back};
use crate::cluster::plan::selection::{for_rebuild, for_rollback, for_size};
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|t| (*t).to_owned()).collect()
}

/// Steps as short texts, such as `add workers` and `drain w-1`.
fn shown(steps: &[NodeStep]) -> Vec<String> {
    let name = |id: &str| id.trim_start_matches("id-").to_owned();
    steps
        .iter()
        .map(|step| match step {
            NodeStep::SetSize { group, count } => format!("{group} {count}"),
            NodeStep::DeleteUnsent { node } => format!("withdraw {}", name(node)),
            NodeStep::Add { group, .. } => format!("add {group}"),
            NodeStep::AddBalancer => "add balancer".into(),
            NodeStep::Replace { node } => format!("replace {}", name(node)),
            NodeStep::Remove { node, drain: None } => format!("remove {}", name(node)),
            NodeStep::Remove { node, .. } => format!("drain {}", name(node)),
            NodeStep::CancelRemoval { node, .. } => format!("keep {}", name(node)),
        })
        .collect()
}

fn groups() -> [Group; 3] {
    [
        group(1, "masters", "master", 1),
        group(2, "workers", "worker", 2),
        group(3, "extra", "worker", 1),
    ]
}

struct Seen<'a> {
    cluster: Cluster,
    nodes: &'a [Node],
    in_error: &'a [&'a str],
    not_running: &'a [&'a str],
}

impl Seen<'_> {
    fn plan<T>(&self, plan: impl FnOnce(Members<'_>) -> T) -> T {
        let networks = Networks::of(&BTreeMap::new(), None).unwrap();
        plan(Members {
            coe: Coe::Kubernetes,
            cluster: &self.cluster,
            groups: &groups(),
            nodes: self.nodes,
            networks: Some(&networks),
            in_error: &texts(self.in_error),
            not_running: &texts(self.not_running),
        })
    }

    fn resize(&self, sizes: &[(&str, i64)], named: &[&str]) -> Vec<String> {
        let sizes = sizes.iter().map(|(g, n)| ((*g).to_owned(), *n)).collect();
        shown(&self.plan(|m| resize(m, &sizes, &texts(named))).unwrap())
    }
}

/// A cluster of one master and three workers in two groups.
fn nodes() -> Vec<Node> {
    ["m-0", "w-0", "w-1", "x-0"]
        .map(|name| node(name, NodeStatus::Ready))
        .into()
}

fn complete(nodes: &[Node]) -> Seen<'_> {
    Seen {
        cluster: Cluster {
            status: Status::new(Action::Create, Phase::Complete).into(),
            ..cluster(Intent::Create, 2)
        },
        nodes,
        in_error: &[],
        not_running: &[],
    }
}

#[test]
fn a_new_cluster_consists_of_added_nodes() {
    let networks = Networks::of(&BTreeMap::new(), None).unwrap();
    let steps = create(&groups(), Some(&networks), true).unwrap();
    let wanted = [
        "add masters",
        "add workers",
        "add workers",
        "add extra",
        "add balancer",
    ];
    assert_eq!(shown(&steps), wanted);
    let ranges: Vec<_> = steps
        .iter()
        .filter_map(|s| match s {
            NodeStep::Add { pod_cidr, .. } => pod_cidr.clone(),
            _ => None,
        })
        .collect();
    let mut distinct = ranges.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((ranges.len(), distinct.len()), (4, 4));
}

#[test]
fn each_group_is_resized_alone() {
    let nodes = nodes();
    let seen = complete(&nodes);
    for (sizes, named, wanted) in [
        (vec![("workers", 2)], vec![], vec!["workers 2"]),
        (
            vec![("workers", 3)],
            vec![],
            vec!["workers 3", "add workers"],
        ),
        (vec![("workers", 1)], vec![], vec!["workers 1", "drain w-1"]),
        (
            vec![("workers", 1)],
            vec!["w-0"],
            vec!["workers 1", "drain w-0"],
        ),
        (vec![("extra", 0)], vec![], vec!["extra 0", "drain x-0"]),
        (
            vec![("extra", 2), ("workers", 0)],
            vec![],
            vec![
                "extra 2",
                "workers 0",
                "add extra",
                "drain w-1",
                "drain w-0",
            ],
        ),
    ] {
        assert_eq!(seen.resize(&sizes, &named), wanted, "{sizes:?}");
    }
    let sizes = BTreeMap::from([("none".to_owned(), 1)]);
    let missing = seen.plan(|m| resize(m, &sizes, &[])).unwrap_err();
    assert!(missing.is_not_found());
}

#[test]
fn healing_replaces_lost_nodes_of_all_groups() {
    let mut nodes = nodes();
    nodes[2].status = NodeStatus::Failed;
    let sizes = [("extra", 1), ("workers", 2)];
    let seen = Seen {
        in_error: &["w-0", "x-0"],
        not_running: &["w-0", "x-0"],
        ..complete(&nodes)
    };
    let wanted = [
        "extra 1",
        "workers 2",
        "add workers",
        "replace w-0",
        "replace x-0",
        "remove w-1",
    ];
    assert_eq!(seen.resize(&sizes, &[]), wanted);
    let wanted = ["workers 1", "replace w-0", "replace x-0", "remove w-1"];
    assert_eq!(seen.resize(&[("workers", 1)], &[]), wanted);
    // A lost node that leaves is not rebuilt, and its pods cannot be evicted.
    let wanted = ["workers 0", "replace x-0", "remove w-1", "remove w-0"];
    assert_eq!(seen.resize(&[("workers", 0)], &[]), wanted);
}

#[test]
fn nodes_that_the_stack_does_not_know_are_withdrawn() {
    let mut nodes = nodes();
    let mut unsent = node("w-2", NodeStatus::Waiting);
    unsent.generation = 3;
    nodes.push(unsent);
    let seen = complete(&nodes);
    let wanted = ["workers 1", "withdraw w-2", "drain w-1"];
    assert_eq!(seen.resize(&[("workers", 1)], &[]), wanted);
}

#[test]
fn drains_have_time_one_after_the_other() {
    let nodes = nodes();
    let seen = complete(&nodes);
    let sizes = BTreeMap::from([("workers".to_owned(), 0)]);
    let steps = seen.plan(|m| resize(m, &sizes, &[])).unwrap();
    let drains: Vec<_> = steps
        .iter()
        .filter_map(|s| match s {
            NodeStep::Remove { drain, .. } => *drain,
            _ => None,
        })
        .collect();
    assert_eq!(drains, [Duration::from_mins(4); 2]);
    // Without a ready master nothing is drained.
    let seen = complete(&nodes[1..]);
    let wanted = ["workers 0", "remove w-1", "remove w-0"];
    assert_eq!(seen.resize(&[("workers", 0)], &[]), wanted);
}

#[test]
fn a_rollback_returns_all_groups_to_their_sizes() {
    let mut nodes = nodes();
    nodes[1].status = NodeStatus::Leaving;
    let mut joined = node("w-2", NodeStatus::Ready);
    let mut broken = node("w-3", NodeStatus::Failed);
    (joined.generation, broken.generation) = (2, 2);
    nodes.extend([joined, broken]);
    let seen = Seen {
        cluster: cluster(Intent::Resize, 2),
        ..complete(&nodes)
    };
    let plan = |count| {
        let sizes = BTreeMap::from([("workers".to_owned(), count)]);
        shown(&seen.plan(|m| roll_back(m, &sizes)).unwrap())
    };
    assert_eq!(plan(2), ["workers 2", "extra 1", "remove w-3"]);
    let wanted = ["workers 3", "extra 1", "add workers", "remove w-3"];
    assert_eq!(plan(3), wanted);
    let wanted = ["workers 1", "extra 1", "drain w-2", "remove w-3"];
    assert_eq!(plan(1), wanted);
}

#[test]
fn failed_nodes_leave_first_then_named_then_newest() {
    let all = [
        node("w-0", NodeStatus::Ready),
        node("w-1", NodeStatus::Failed),
        node("w-2", NodeStatus::Ready),
        node("w-3", NodeStatus::Ready),
    ];
    let nodes: Vec<&Node> = all.iter().collect();
    let pick = |count, named: &[&str]| {
        let choice = for_size(&nodes, count, &texts(named), false).unwrap();
        let leave: Vec<i64> = choice.leave.iter().map(|n| n.index).collect();
        (leave, choice.add)
    };
    assert_eq!(pick(3, &[]), (vec![1], 0));
    assert_eq!(pick(4, &[]), (vec![1], 1));
    assert_eq!(pick(2, &["w-0"]), (vec![0, 1], 0));
    assert_eq!(pick(1, &[]), (vec![1, 3, 2], 0));
    assert!(for_size(&nodes, 4, &texts(&["w-0"]), false).is_err());
}

#[test]
fn masters_are_rebuilt_while_a_majority_runs() {
    use NodeStatus::{Failed, Leaving, Ready};
    let mut nodes = vec![
        node("m-0", Ready),
        node("m-1", Ready),
        node("m-2", Ready),
        node("w-0", Ready),
        node("w-1", Failed),
        node("w-2", Leaving),
        node("lb", Failed),
    ];
    let names = |nodes: &[Node], in_error: &[&str], not_running: &[&str]| -> Vec<String> {
        let found = for_rebuild(nodes, &texts(in_error), &texts(not_running));
        found.into_iter().map(|n| n.name.clone()).collect()
    };
    assert_eq!(names(&nodes, &[], &[]), ["lb"]);
    let one = ["m-2", "w-0", "w-2"];
    assert_eq!(names(&nodes, &one, &one), ["m-2", "w-0", "lb"]);
    // Without a majority the remaining data of etcd is not touched.
    assert_eq!(names(&nodes, &one, &["m-1", "m-2"]), ["w-0", "lb"]);
    nodes[2].status = Failed;
    assert_eq!(names(&nodes, &[], &[]), ["m-2", "lb"]);
    let alone = [node("m-0", Ready)];
    assert!(names(&alone, &["m-0"], &["m-0"]).is_empty());
}

#[test]
fn ready_new_nodes_replace_removed_ones_in_a_rollback() {
    let new = |name: &str, status| Node {
        generation: 2,
        ..node(name, status)
    };
    let all = [
        node("w-1", NodeStatus::Ready),
        node("w-2", NodeStatus::Ready),
        new("w-3", NodeStatus::Waiting),
        new("w-4", NodeStatus::Ready),
        new("w-5", NodeStatus::Failed),
    ];
    let nodes: Vec<&Node> = all.iter().collect();
    for (count, leave, add) in [
        (2, vec![3, 4, 5], 0),
        (3, vec![3, 5], 0),
        (5, vec![3, 5], 2),
    ] {
        let choice = for_rollback(&nodes, 2, count);
        let indices: Vec<i64> = choice.leave.iter().map(|n| n.index).collect();
        assert_eq!((indices, choice.add), (leave, add), "{count}");
    }
}
