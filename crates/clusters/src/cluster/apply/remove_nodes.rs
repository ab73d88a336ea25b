//! Creates tasks in which the masters remove Node objects.

use flow::Next;
use kernel::{Result, clock};

use super::run::Run;
use crate::cluster::plan::REMOVE_LIMIT;
use crate::node::{self, Task, TaskKind};

pub(super) async fn remove_nodes(run: &Run<'_>, names: &[String]) -> Result<Next> {
    let c = &run.cluster;
    let limit = REMOVE_LIMIT.saturating_mul(u32::try_from(names.len()).unwrap_or(1));
    db::fenced!(run.d.db, run.lease, |tx| {
        for name in names {
            let now = clock::now();
            let mut task = Task::new(&c.uuid, TaskKind::Remove, name, now, limit);
            task.generation = c.generation;
            node::table::insert_task(tx, &task).await?;
        }
        Ok(())
    })?;
    Ok(Next::Again)
}
