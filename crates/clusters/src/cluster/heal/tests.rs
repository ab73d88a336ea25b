//! Which nodes are rebuilt, and in which order.

use super::*;

fn node(name: &str, status: NodeStatus) -> Node {
    Node {
        id: format!("id-{name}"),
        name: name.into(),
        is_master: name.starts_with('m'),
        is_balancer: name == "lb",
        status,
        generation: 1,
        session_hash: Some("s".into()),
        ..Node::default()
    }
}

fn cluster() -> Cluster {
    Cluster {
        create_timeout: 10,
        generation: 2,
        sent_generation: 1,
        updated_at: Some(0),
        ..Cluster::default()
    }
}

fn task(kind: &str, node: &str, status: &str) -> Task {
    Task {
        status: status.into(),
        generation: 2,
        ..Task::new("c", kind, node, 0, 60)
    }
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
    let names = |nodes: &[Node], gone: &[&str], dead: &[&str]| -> Vec<String> {
        let own = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let found = nodes_to_rebuild(nodes, &own(gone), &own(dead));
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
fn a_master_is_rebuilt_step_by_step() {
    let c = cluster();
    let mut nodes = [
        node("m-0", NodeStatus::Ready),
        node("m-1", NodeStatus::Lost),
    ];
    let mut tasks = Vec::new();
    let next = |nodes: &[Node], tasks: &[Task], now| decide(&c, nodes, tasks, now);
    assert_eq!(
        next(&nodes, &tasks, 1),
        Some(PlanStep::RemoveNodeObjects(vec!["m-1".into()]))
    );
    tasks.push(task("remove", "m-1", "done"));
    assert_eq!(
        next(&nodes, &tasks, 1),
        Some(PlanStep::ChangeEtcdMember(ADD, "m-1".into()))
    );
    tasks.push(task(ADD, "m-1", "pending"));
    let waits = next(&nodes, &tasks, 1);
    assert!(matches!(waits, Some(PlanStep::WaitUntil(_, w)) if w.contains("m-1 in etcd")));
    tasks[1].status = "failed".into();
    tasks[1].log = "unhealthy cluster".into();
    let ends = next(&nodes, &tasks, 1);
    assert!(
        matches!(&ends, Some(PlanStep::Finish(Err(w))) if w.contains("add-member failed: unhealthy cluster.")),
        "{ends:?}"
    );
    tasks[1].status = "done".into();
    assert_eq!(
        next(&nodes, &tasks, 1),
        Some(PlanStep::Rebuild(vec!["id-m-1".into()]))
    );
    nodes[1].status = NodeStatus::Waiting;
    nodes[1].fresh_sealed = Some("t".into());
    nodes[1].session_hash = None;
    let waits = next(&nodes, &tasks, 1);
    assert!(matches!(waits, Some(PlanStep::WaitUntil(_, w)) if w.contains("m-1 to be rebuilt")));
    nodes[1].status = NodeStatus::Running;
    nodes[1].session_hash = Some("n".into());
    assert_eq!(
        next(&nodes, &tasks, 1),
        Some(PlanStep::ChangeEtcdMember(PROMOTE, "m-1".into()))
    );
    tasks.push(task(PROMOTE, "m-1", "pending"));
    assert!(matches!(
        next(&nodes, &tasks, 1),
        Some(PlanStep::WaitUntil(..))
    ));
    let ends = next(&nodes, &tasks, 600_000_000);
    assert!(matches!(&ends, Some(PlanStep::Finish(Err(w))) if w.contains("m-1")));
    nodes[1].status = NodeStatus::Ready;
    assert_eq!(next(&nodes, &tasks, 1), None);
}

#[test]
fn workers_need_no_etcd_and_new_nodes_belong_to_the_stack() {
    let c = cluster();
    let mut fresh = node("w-2", NodeStatus::Waiting);
    fresh.generation = 2;
    let mut nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Lost),
        node("lb", NodeStatus::Lost),
        fresh,
    ];
    let tasks = [task("remove", "w-0", "done")];
    assert_eq!(
        decide(&c, &nodes, &tasks, 1),
        Some(PlanStep::Rebuild(vec!["id-w-0".into(), "id-lb".into()]))
    );
    nodes[1].status = NodeStatus::Ready;
    nodes[2].status = NodeStatus::Ready;
    assert_eq!(decide(&c, &nodes, &tasks, 1), None);
}
