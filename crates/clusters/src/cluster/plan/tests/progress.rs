//! The next steps of an operation in progress.

use super::*;
use crate::cluster::plan::{Desired, NodeFailure, Observed, Step, decide};
use crate::coe::Coe;
use kernel::Timestamp;
use std::time::Duration;

struct Case<'a> {
    coe: Coe,
    cluster: Cluster,
    nodes: &'a [Node],
    tasks: &'a [Task],
    stack: Option<Stack>,
    now: Timestamp,
}

impl Case<'_> {
    fn steps(&self) -> Vec<Step> {
        self.steps_after(&[])
    }

    fn steps_after(&self, failures: &[NodeFailure]) -> Vec<Step> {
        let want = Desired {
            coe: self.coe,
            cluster: &self.cluster,
            nodes: self.nodes,
        };
        let seen = Observed {
            tasks: self.tasks,
            stack: self.stack.as_ref(),
            failures,
            now: self.now,
        };
        decide(want, seen)
    }
}

fn kubernetes<'a>(cluster: Cluster, nodes: &'a [Node], tasks: &'a [Task]) -> Case<'a> {
    Case {
        coe: Coe::Kubernetes,
        cluster,
        nodes,
        tasks,
        stack: Some(stack(StackAction::Update, StackStatus::Complete)),
        now: Timestamp::from_micros(1),
    }
}

/// The single next step of a resize of a Kubernetes cluster.
fn next(nodes: &[Node], tasks: &[Task], sent: i64, now: Timestamp) -> Step {
    let case = kubernetes(cluster(Intent::Resize, sent), nodes, tasks);
    let steps = Case { now, ..case }.steps();
    assert_eq!(steps.len(), 1, "{steps:?}");
    steps.into_iter().next().unwrap()
}

#[test]
fn the_state_of_the_stack_decides_the_next_step() {
    use StackAction::{Create, Delete, Init, Update};
    use StackStatus::{Complete, Failed, InProgress};
    let done = || Step::Settle(Ok(()));
    let fault = |why: &str| Step::Settle(Err(why.into()));
    let waiting = |why: &str| Step::Wait(Some(why.into()));
    let vanished = "The stack of the cluster no longer exists.";
    let delete = Step::DeleteStack { retry: None };
    let cases = [
        (Intent::Create, 1, None, Step::CreateStack),
        (Intent::Create, 2, None, fault(vanished)),
        (Intent::Create, 2, Some((Init, Complete)), Step::Wait(None)),
        (
            Intent::Create,
            2,
            Some((Create, InProgress)),
            Step::Wait(None),
        ),
        (Intent::Create, 2, Some((Create, Complete)), done()),
        (Intent::Create, 2, Some((Create, Failed)), fault("why")),
        (
            Intent::Resize,
            1,
            Some((Create, Complete)),
            Step::UpdateStack,
        ),
        (Intent::Resize, 1, None, fault(vanished)),
        (
            Intent::Resize,
            2,
            Some((Update, InProgress)),
            Step::Wait(None),
        ),
        (Intent::Resize, 2, Some((Update, Complete)), done()),
        (Intent::Resize, 2, Some((Update, Failed)), fault("why")),
        (
            Intent::Rollback,
            1,
            Some((Update, Failed)),
            Step::UpdateStack,
        ),
        (Intent::Rollback, 2, Some((Update, Failed)), fault("why")),
        (Intent::RotateCa, 1, Some((Update, Complete)), done()),
        (Intent::Delete, 2, None, Step::Purge),
        (
            Intent::Delete,
            2,
            Some((Update, InProgress)),
            delete.clone(),
        ),
        (
            Intent::Delete,
            2,
            Some((Delete, InProgress)),
            waiting("why"),
        ),
        (Intent::Delete, 2, Some((Update, Failed)), delete),
        (
            Intent::Delete,
            2,
            Some((Delete, Failed)),
            Step::ReportDeleteFailure("why".into()),
        ),
    ];
    for (intent, sent, seen, wanted) in cases {
        for coe in [Coe::Kubernetes, Coe::Swarm] {
            let case = Case {
                coe,
                stack: seen.map(|(action, status)| stack(action, status)),
                ..kubernetes(cluster(intent, sent), &[], &[])
            };
            assert_eq!(
                case.steps(),
                std::slice::from_ref(&wanted),
                "{intent:?} {sent} {seen:?}"
            );
        }
    }
}

#[test]
fn a_failed_deletion_is_tried_again_after_it_was_reported() {
    let case = Case {
        cluster: Cluster {
            status: failed(Action::Delete).into(),
            ..cluster(Intent::Delete, 2)
        },
        stack: Some(stack(StackAction::Delete, StackStatus::Failed)),
        ..kubernetes(cluster(Intent::Delete, 2), &[], &[])
    };
    let retry = Some("why".to_owned());
    assert_eq!(case.steps(), [Step::DeleteStack { retry }]);
}

#[test]
fn an_idle_cluster_has_no_steps() {
    let idle = Cluster {
        status: failed(Action::Update).into(),
        ..cluster(Intent::Resize, 2)
    };
    assert_eq!(kubernetes(idle, &[], &[]).steps(), []);
}

#[test]
fn failed_servers_come_first_and_missing_signals_next() {
    let mut nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Running),
    ];
    nodes[0].signal = Some("SUCCESS".into());
    nodes[0].signalled = false;
    let case = Case {
        stack: Some(stack(StackAction::Create, StackStatus::InProgress)),
        ..kubernetes(cluster(Intent::Create, 2), &nodes, &[])
    };
    let failure = NodeFailure {
        node: "id-w-0".into(),
        why: "was killed for lack of memory".into(),
    };
    let steps = case.steps_after(std::slice::from_ref(&failure));
    assert_eq!(steps, [Step::FailNodes(vec![failure])]);
    let repeated = Step::RepeatSignal("id-m-0".into());
    assert_eq!(case.steps(), [repeated, Step::Wait(None)]);
}

#[test]
fn a_failure_is_rolled_back_only_if_requested_and_possible() {
    let requested = Cluster {
        rollback: Some(2),
        ..cluster(Intent::Resize, 2)
    };
    let failed = || Some(stack(StackAction::Update, StackStatus::Failed));
    let case = |cluster: Cluster, stack: Option<Stack>| Case {
        stack,
        ..kubernetes(cluster, &[], &[])
    };
    let steps = case(requested.clone(), failed()).steps();
    assert_eq!(steps, [Step::RollBack("why".into())]);
    let steps = case(cluster(Intent::Resize, 2), failed()).steps();
    assert_eq!(steps, [Step::Settle(Err("why".into()))]);
    let steps = case(requested, None).steps();
    assert!(matches!(&steps[..], [Step::Settle(Err(_))]), "{steps:?}");
}

#[test]
fn drains_come_before_the_stack_update() {
    let nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Leaving),
    ];
    let mut tasks = [task(TaskKind::Drain, "w-0", TaskStatus::Pending)];
    let waits = next(&nodes, &tasks, 1, Timestamp::from_micros(1));
    assert!(
        matches!(&waits, Step::WaitUntil(until, why) if *until == at(75) && why.contains("drain w-0")),
        "{waits:?}"
    );
    let late = next(&nodes, &tasks, 1, at(75));
    assert!(matches!(&late, Step::Cancel(why) if why.contains("no master has answered")));
    tasks[0].status = TaskStatus::Done;
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::UpdateStack
    );
    tasks[0].status = TaskStatus::Failed;
    tasks[0].log = "pod a/b cannot be evicted.".into();
    let cancelled = next(&nodes, &tasks, 1, Timestamp::from_micros(1));
    let said = "step drain failed: pod a/b cannot be evicted. Nothing was removed.";
    assert!(
        matches!(&cancelled, Step::Cancel(why) if why.contains(said)),
        "{cancelled:?}"
    );
    // The previous action of the stack has to end first.
    let case = Case {
        stack: Some(stack(StackAction::Create, StackStatus::InProgress)),
        ..kubernetes(cluster(Intent::Resize, 1), &nodes, &tasks)
    };
    assert_eq!(case.steps(), [Step::Wait(None)]);
}

#[test]
fn a_swarm_waits_for_drains_only_until_their_deadline() {
    let tasks = [
        task(TaskKind::Drain, "w-0", TaskStatus::Failed),
        task(TaskKind::Remove, "w-0", TaskStatus::Pending),
    ];
    let case = |now| Case {
        coe: Coe::Swarm,
        now,
        ..kubernetes(cluster(Intent::Resize, 1), &[], &tasks)
    };
    let waits = case(Timestamp::from_micros(1)).steps();
    assert!(
        matches!(&waits[..], [Step::WaitUntil(until, why)]
            if *until == at(60) && why.contains("drain and remove w-0")),
        "{waits:?}"
    );
    assert_eq!(case(at(60)).steps(), [Step::UpdateStack]);
}

#[test]
fn a_rotation_waits_for_every_manager() {
    let mut tasks = [
        task(TaskKind::ReloadCa, "m-0", TaskStatus::Done),
        task(TaskKind::ReloadCa, "m-1", TaskStatus::Pending),
    ];
    let case = |tasks: &[Task], now| {
        Case {
            coe: Coe::Swarm,
            now,
            ..kubernetes(cluster(Intent::RotateCa, 1), &[], tasks)
        }
        .steps()
    };
    let waits = case(&tasks, Timestamp::from_micros(1));
    assert!(matches!(&waits[..], [Step::WaitUntil(until, _)] if *until == at(60)));
    let why = "Node m-1: step reload-ca failed: no answer";
    let late = case(&tasks, at(60));
    assert_eq!(late, [Step::Settle(Err(why.into()))]);
    tasks[1].status = TaskStatus::Done;
    assert_eq!(case(&tasks, at(60)), [Step::Settle(Ok(()))]);
}

/// For all possible task results.
#[test]
fn removals_are_repeated_until_the_cluster_has_noticed() {
    let mut silent = node("w-2", NodeStatus::Leaving);
    silent.session_hash = None;
    let nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-1", NodeStatus::Leaving),
        silent,
    ];
    let mut tasks = Vec::new();
    for round in 0..5 {
        let now = at(round * 20);
        let step = next(&nodes, &tasks, 2, now);
        assert_eq!(step, Step::RemoveNodes(vec!["w-1".into()]));
        tasks.push(Task {
            generation: 2,
            ..Task::new(
                &"c".into(),
                TaskKind::Remove,
                "w-1",
                now,
                Duration::from_secs(15),
            )
        });
        let step = next(&nodes, &tasks, 2, now);
        assert!(
            matches!(step, Step::WaitUntil(until, _) if until == now + Duration::from_secs(15))
        );
        let last = tasks.last_mut().unwrap();
        last.status = TaskStatus::Failed;
        last.log = "pod a/b: evicted, but it has not ended yet".into();
        if round < 4 {
            let soon = next(&nodes, &tasks, 2, now + Duration::from_secs(1));
            assert!(
                matches!(soon, Step::WaitUntil(until, _) if until == now + Duration::from_secs(15))
            );
        }
    }
    let Step::Settle(Err(why)) = next(&nodes, &tasks, 2, at(200)) else {
        panic!("it continues");
    };
    assert!(
        why.contains("Node w-1: step remove failed: pod a/b"),
        "{why}"
    );
    tasks.last_mut().unwrap().status = TaskStatus::Done;
    assert_eq!(next(&nodes, &tasks, 2, at(200)), Step::Settle(Ok(())));
    // Without a master no task can be given.
    assert_eq!(
        next(&nodes[1..], &[], 2, Timestamp::EPOCH),
        Step::Settle(Ok(()))
    );
}

#[test]
fn a_master_is_rebuilt_step_by_step() {
    let mut nodes = [
        node("m-0", NodeStatus::Ready),
        node("m-1", NodeStatus::Lost),
    ];
    let mut tasks = Vec::new();
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::RemoveNodes(vec!["m-1".into()])
    );
    tasks.push(task(TaskKind::Remove, "m-1", TaskStatus::Done));
    let change = |kind| Step::ChangeMember(kind, "m-1".into());
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        change(TaskKind::AddMember)
    );
    tasks.push(task(TaskKind::AddMember, "m-1", TaskStatus::Pending));
    let waits = next(&nodes, &tasks, 1, Timestamp::from_micros(1));
    assert!(matches!(waits, Step::WaitUntil(_, w) if w.contains("m-1 in etcd")));
    tasks[1].status = TaskStatus::Failed;
    tasks[1].log = "unhealthy cluster".into();
    let ends = next(&nodes, &tasks, 1, Timestamp::from_micros(1));
    let said = "add-member failed: unhealthy cluster.";
    assert!(
        matches!(&ends, Step::Settle(Err(w)) if w.contains(said)),
        "{ends:?}"
    );
    tasks[1].status = TaskStatus::Done;
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::Replace(vec!["id-m-1".into()])
    );
    nodes[1].status = NodeStatus::Waiting;
    nodes[1].fresh_sealed = Some("t".into());
    nodes[1].session_hash = None;
    let waits = next(&nodes, &tasks, 1, Timestamp::from_micros(1));
    assert!(matches!(waits, Step::WaitUntil(_, w) if w.contains("m-1 to be rebuilt")));
    nodes[1].status = NodeStatus::Running;
    nodes[1].session_hash = Some("n".into());
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        change(TaskKind::PromoteMember)
    );
    tasks.push(task(TaskKind::PromoteMember, "m-1", TaskStatus::Pending));
    assert!(matches!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::WaitUntil(..)
    ));
    let ends = next(&nodes, &tasks, 1, at(600));
    assert!(matches!(&ends, Step::Settle(Err(w)) if w.contains("m-1")));
    nodes[1].status = NodeStatus::Ready;
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::UpdateStack
    );
}

#[test]
fn workers_need_no_etcd_and_new_nodes_belong_to_the_stack() {
    let mut fresh = node("w-2", NodeStatus::Waiting);
    fresh.generation = 2;
    let mut nodes = [
        node("m-0", NodeStatus::Ready),
        node("w-0", NodeStatus::Lost),
        node("lb", NodeStatus::Lost),
        fresh,
    ];
    let tasks = [task(TaskKind::Remove, "w-0", TaskStatus::Done)];
    let both = vec!["id-w-0".into(), "id-lb".into()];
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::Replace(both)
    );
    nodes[1].status = NodeStatus::Ready;
    nodes[2].status = NodeStatus::Ready;
    assert_eq!(
        next(&nodes, &tasks, 1, Timestamp::from_micros(1)),
        Step::UpdateStack
    );
}
