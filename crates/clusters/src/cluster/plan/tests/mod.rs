//! Plans as tables: what is desired and observed, and the steps that follow.

mod endings;
mod members;
mod progress;

use kernel::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

use orchestration::api::{Action as StackAction, Stack, Status as StackStatus};

use crate::cluster::model::{Cluster, Intent};
use crate::node::{Node, NodeStatus, Task, TaskKind, TaskStatus};
use crate::nodegroup::Group;
use crate::status::{Action, Phase, Status};

/// A time of the tests, in seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// A cluster whose operation of generation 2 was sent to the stack up to
/// generation `sent`.
fn cluster(intent: Intent, sent: i64) -> Cluster {
    Cluster {
        uuid: "c".into(),
        status: Status::new(intent.action(), Phase::InProgress).into(),
        intent,
        create_timeout: 10,
        generation: 2,
        sent_generation: sent,
        updated_at: Some(Timestamp::EPOCH),
        ..Cluster::default()
    }
}

/// Names say the role: `m-0` is a master, `lb` the balancer, and `w-1` a worker
/// of the group `workers`; `x-2` is a worker of the group `extra`.
fn node(name: &str, status: NodeStatus) -> Node {
    let nodegroup = match name.split('-').next() {
        Some("m") => "masters",
        Some("w") => "workers",
        Some("x") => "extra",
        _ => "balancer",
    };
    Node {
        id: format!("id-{name}").into(),
        name: name.into(),
        index: name
            .split('-')
            .next_back()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0),
        nodegroup: nodegroup.into(),
        is_master: name.starts_with('m'),
        is_balancer: name == "lb",
        status,
        generation: 1,
        session_hash: Some("s".into()),
        signalled: true,
        ..Node::default()
    }
}

fn group(id: i64, name: &str, role: &str, count: i64) -> Group {
    Group {
        id,
        name: name.into(),
        role: role.into(),
        node_count: count,
        ..Group::default()
    }
}

fn task(kind: TaskKind, node: &str, status: TaskStatus) -> Task {
    Task {
        status,
        generation: 2,
        ..Task::new(
            &"c".into(),
            kind,
            node,
            Timestamp::EPOCH,
            Duration::from_mins(1),
        )
    }
}

fn stack(action: StackAction, status: StackStatus) -> Stack {
    Stack {
        id: "s".into(),
        project_id: "p1".into(),
        name: "s".into(),
        action,
        status,
        status_reason: "why".into(),
        outputs: BTreeMap::new(),
        generation: 2,
    }
}

fn failed(action: Action) -> Status {
    Status::new(action, Phase::Failed)
}
