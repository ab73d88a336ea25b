//! Creates tasks in which the masters remove Node objects.

use flow::Next;
use kernel::{Result, clock};

use super::run::Run;
use crate::cluster::plan::REMOVE_SECONDS;
use crate::node::{self, Task, TaskKind};

pub(super) async fn remove_nodes(run: &Run<'_>, names: &[String]) -> Result<Next> {
    let c = &run.cluster;
    let seconds = REMOVE_SECONDS.saturating_mul(i64::try_from(names.len()).unwrap_or(1));
    db::fenced!(run.d.db, run.lease, |tx| {
        for name in names {
            let now = clock::now_micros();
            let mut task = Task::new(&c.uuid, TaskKind::Remove, name, now, seconds);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        Ok(())
    })?;
    Ok(Next::Again)
}
