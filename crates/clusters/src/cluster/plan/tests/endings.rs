//! Ends of operations: statuses, causes and addresses.

use kernel::Timestamp;
use serde_json::json;

use super::*;
use crate::cluster::plan::cancel::{Cancellation, cancel};
use crate::cluster::plan::nodes::Members;
use crate::cluster::plan::settle::settle;
use crate::cluster::plan::status::{Progress, of_cluster, of_group};
use crate::cluster::plan::{NodeStep, failures};
use crate::coe::Coe;

#[test]
fn the_status_follows_from_the_operation_and_its_progress() {
    let rolling = Cluster {
        cause: Some("no space left".into()),
        ..cluster(Intent::Rollback, 2)
    };
    let resize = cluster(Intent::Resize, 2);
    let delete = cluster(Intent::Delete, 2);
    for (c, progress, status, reason) in [
        (&resize, Progress::Started(None), "UPDATE_IN_PROGRESS", None),
        (
            &resize,
            Progress::Waiting("a drain"),
            "UPDATE_IN_PROGRESS",
            Some("a drain"),
        ),
        (&resize, Progress::Ended(Ok(())), "UPDATE_COMPLETE", None),
        (
            &resize,
            Progress::Ended(Err("quota")),
            "UPDATE_FAILED",
            Some("quota"),
        ),
        (
            &rolling,
            Progress::Waiting("a drain"),
            "ROLLBACK_IN_PROGRESS",
            Some("no space left (rolling back: a drain)"),
        ),
        (
            &rolling,
            Progress::Ended(Ok(())),
            "ROLLBACK_COMPLETE",
            Some("no space left"),
        ),
        (
            &rolling,
            Progress::Ended(Err("quota")),
            "ROLLBACK_FAILED",
            Some("no space left (the rollback failed as well: quota)"),
        ),
        (
            &delete,
            Progress::Retrying("in use"),
            "DELETE_FAILED",
            Some("in use"),
        ),
    ] {
        let (found, why) = of_cluster(c, progress);
        assert_eq!((found.as_stored(), why.as_deref()), (status, reason));
    }
    let broken = failed(Action::Update);
    assert_eq!(of_group(broken, true), broken);
    assert_eq!(of_group(broken, false).as_stored(), "UPDATE_COMPLETE");
}

fn groups() -> [Group; 3] {
    [
        group(1, "masters", "master", 1),
        group(2, "workers", "worker", 1),
        group(3, "extra", "worker", 1),
    ]
}

#[test]
fn a_failure_concerns_the_groups_of_the_failed_nodes() {
    let mut broken = node("x-0", NodeStatus::Failed);
    broken.report(
        "kubelet",
        "failed",
        Timestamp::from_micros(5),
        "no space left",
    );
    let mut balancer = node("lb", NodeStatus::Failed);
    balancer.report(
        "listen",
        "failed",
        Timestamp::from_micros(7),
        "address already in use",
    );
    let nodes = [node("m-0", NodeStatus::Ready), broken, balancer];
    let groups = groups();
    let end = |nodes: &[Node], why| {
        let c = cluster(Intent::Create, 2);
        let end = settle(
            (Coe::Kubernetes, 6443),
            &c,
            (&groups, nodes),
            None,
            Err(why),
        );
        let statuses: Vec<_> = end.groups.iter().map(|(_, s, _)| s.as_stored()).collect();
        (end.reason.unwrap(), statuses)
    };
    let (why, statuses) = end(&nodes[..2], "WaitConditionFailure");
    assert!(
        why.starts_with("Node x-0: step kubelet failed: no space left. "),
        "{why}"
    );
    assert_eq!(
        statuses,
        ["CREATE_COMPLETE", "CREATE_COMPLETE", "CREATE_FAILED"]
    );
    // The balancer counts as part of the masters; the earliest failure is shown.
    let (why, statuses) = end(&nodes, "WaitConditionFailure");
    assert!(why.contains("x-0"), "{why}");
    assert_eq!(
        statuses,
        ["CREATE_FAILED", "CREATE_COMPLETE", "CREATE_FAILED"]
    );
    let (why, statuses) = end(&nodes[..1], "");
    assert_eq!(why, "The stack failed without a reason.");
    assert_eq!(statuses, ["CREATE_FAILED"; 3]);
}

#[test]
fn each_group_gets_its_addresses_and_leaving_nodes_are_removed() {
    let outputs = BTreeMap::from([
        ("master_addresses".to_owned(), json!(["10.0.0.3"])),
        ("node_addresses".to_owned(), json!(["10.0.0.4", null])),
        ("node3_addresses".to_owned(), json!(["10.0.0.5"])),
        ("balancer_address".to_owned(), json!("10.0.0.9")),
    ]);
    let mut nodes = vec![
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Leaving),
    ];
    let (groups, c) = (groups(), cluster(Intent::Resize, 2));
    let coe = (Coe::Kubernetes, 6443);
    let end = settle(coe, &c, (&groups, &nodes), Some(&outputs), Ok(()));
    let found: Vec<_> = end
        .groups
        .iter()
        .map(|(g, ..)| g.node_addresses.join(" "))
        .collect();
    assert_eq!(found, ["10.0.0.3", "10.0.0.4", "10.0.0.5"]);
    assert_eq!(end.removed, ["id-w-0"]);
    assert_eq!(end.api_address, Some(Some("https://10.0.0.3:6443".into())));
    nodes.push(node("lb", NodeStatus::Ready));
    let end = settle(coe, &c, (&groups, &nodes), Some(&outputs), Ok(()));
    assert_eq!(end.api_address, Some(Some("https://10.0.0.9:6443".into())));
    let rotated = cluster(Intent::RotateCa, 2);
    let end = settle(coe, &rotated, (&groups, &nodes), Some(&outputs), Ok(()));
    assert_eq!(end.api_address, None);
    let end = settle(coe, &c, (&groups, &nodes), Some(&outputs), Err("quota"));
    assert!(end.removed.is_empty() && end.api_address.is_none());
}

/// A resize that removes `w-1`, which is drained, and adds `w-2`.
fn cancelled(c: &Cluster, sizes: Option<(&str, i64)>) -> Cancellation {
    let mut unsent = node("w-2", NodeStatus::Waiting);
    unsent.generation = 2;
    let nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Ready),
        node("w-1", NodeStatus::Leaving),
        node("x-0", NodeStatus::Leaving),
        unsent,
    ];
    let mut drain = task(TaskKind::Drain, "w-1", TaskStatus::Failed);
    drain.taken_by = Some("m-0".into());
    let before = Members {
        coe: Coe::Kubernetes,
        cluster: c,
        groups: &groups(),
        nodes: &nodes,
        networks: None,
        in_error: &[],
        not_running: &[],
    };
    let sizes = sizes.map(|(group, count)| BTreeMap::from([(group.to_owned(), count)]));
    cancel(before, &[drain], sizes.as_ref(), "a pod stays")
}

#[test]
fn a_cancelled_resize_keeps_drained_nodes_and_withdraws_new_ones() {
    let keep = |node: &str, was_ready, uncordon| NodeStep::CancelRemoval {
        node: node.into(),
        was_ready,
        uncordon,
    };
    let size = |group: &str, count| NodeStep::SetSize {
        group: group.into(),
        count,
    };
    let withdraw = || NodeStep::DeleteUnsent {
        node: "id-w-2".into(),
    };
    let end = cancelled(&cluster(Intent::Resize, 1), None);
    let wanted = [
        keep("id-w-1", true, true),
        withdraw(),
        size("masters", 1),
        size("workers", 2),
        size("extra", 0),
    ];
    assert_eq!(end.steps, wanted);
    assert_eq!(end.status, failed(Action::Update));
    assert_eq!(end.reason.as_deref(), Some("a pod stays"));
    assert!(end.concerned.iter().eq(["workers"]));

    let requested = Cluster {
        rollback: Some(2),
        ..cluster(Intent::Resize, 1)
    };
    let end = cancelled(&requested, Some(("workers", 2)));
    let wanted = [
        keep("id-w-1", true, true),
        keep("id-x-0", false, false),
        withdraw(),
        size("masters", 1),
        size("workers", 2),
        size("extra", 1),
    ];
    assert_eq!(end.steps, wanted);
    assert_eq!(end.status.as_stored(), "ROLLBACK_COMPLETE");
    let end = cancelled(&requested, Some(("workers", 3)));
    assert_eq!(end.status.as_stored(), "ROLLBACK_FAILED");
    let why = end.reason.unwrap();
    assert!(why.contains("2 of 3 workers are left"), "{why}");
}

#[test]
fn only_awaited_nodes_fail_with_their_servers() {
    use compute::api::{Fault, Server, ServerStatus};
    let server = |name: &str, status| Server {
        status,
        fault: Some(Fault {
            code: 500,
            message: "was killed for lack of memory".into(),
        }),
        ..crate::tests::fixture::server(name)
    };
    let mut rebuilding = node("w-3", NodeStatus::Waiting);
    rebuilding.fresh_sealed = Some("t".into());
    rebuilding.session_hash = None;
    let nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-1", NodeStatus::Running),
        node("w-2", NodeStatus::Waiting),
        rebuilding,
        node("w-4", NodeStatus::Waiting),
    ];
    let servers = [
        server("m-0", ServerStatus::Error),
        server("w-1", ServerStatus::Error),
        server("w-2", ServerStatus::Active),
        server("w-3", ServerStatus::Error),
    ];
    let find = |status| {
        let found = failures::find(&nodes, &stack(StackAction::Update, status), &servers);
        found.into_iter().map(|f| f.node).collect::<Vec<_>>()
    };
    assert_eq!(find(StackStatus::InProgress), ["id-w-1"]);
    assert_eq!(find(StackStatus::Complete), ["id-w-1", "id-w-3"]);
    let stack = stack(StackAction::Update, StackStatus::Complete);
    let rotation = cluster(Intent::RotateCa, 2);
    assert!(!failures::are_possible(&rotation, &nodes, &stack));
}
