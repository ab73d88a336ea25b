//! Creates a task in which a running master changes the members of etcd.

use flow::Next;
use kernel::{Result, clock};
use std::time::Duration;

use super::run::Run;
use crate::node::{self, Task, TaskKind};

/// Time limit for each of the two etcd tasks: etcd refuses new members
/// until its voters have been connected for five seconds.
const MEMBER_LIMIT: Duration = Duration::from_mins(2);

pub(super) async fn change_member(run: &Run<'_>, kind: TaskKind, name: &str) -> Result<Next> {
    let c = &run.cluster;
    let mut task = Task::new(&c.uuid, kind, name, clock::now(), MEMBER_LIMIT);
    task.generation = c.generation;
    db::fenced!(run.d.db, run.lease, |tx| {
        node::table::insert_task(tx, &task).await
    })?;
    Ok(Next::Again)
}
