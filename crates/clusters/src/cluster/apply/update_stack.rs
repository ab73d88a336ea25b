//! Sends the new sizes to the stack. Existing servers keep their tokens, so
//! their user data does not change. The stack never rolls back automatically:
//! see `roll_back`.

use std::time::Duration;

use flow::Next;
use kernel::{Kind, Result};
use orchestration::api::{Signal, StackUpdate};
use serde_json::Value;

use super::run::{RESYNC_INTERVAL, Run};
use super::sizes;
use crate::coe::hot::{self, HANDLE};
use crate::node::NodeStatus;
use crate::nodegroup;

pub(super) async fn update_stack(run: &Run<'_>) -> Result<Next> {
    let (d, c) = (run.d, &run.cluster);
    let groups = nodegroup::table::of_operation(&d.db, &c.uuid).await?;
    clear_failure_signals(run).await?;
    let sizes = sizes::of_groups(&d.sealer, &groups, &run.nodes)?;
    let update = StackUpdate {
        parameters: hot::size_parameters(&sizes),
        timeout_mins: run.timeout_mins(),
        disable_rollback: true,
        ..StackUpdate::default()
    };
    let stacks = &d.orchestration.stacks;
    match stacks.update(&run.ctx, &c.stack_id, update).await {
        Ok(_) => {
            run.mark_generation_sent().await?;
            Ok(Next::After(RESYNC_INTERVAL))
        }
        // The previous action of the stack has to end first; its end marks
        // this key.
        Err(e) if matches!(e.kind, Kind::Conflict) => Ok(Next::After(Duration::from_secs(1))),
        Err(e) => Err(e),
    }
}

/// A failed node that leaves must not fail the wait condition again.
async fn clear_failure_signals(run: &Run<'_>) -> Result<()> {
    let leaving = run
        .nodes
        .iter()
        .filter(|n| n.status == NodeStatus::Leaving && n.signal.as_deref() == Some("FAILURE"));
    for n in leaving {
        let word = Signal {
            id: n.name.clone(),
            status: "SUCCESS".into(),
            reason: "removed after its failure".into(),
            data: Value::Null,
        };
        let stacks = &run.d.orchestration.stacks;
        stacks
            .signal(&run.ctx, &run.cluster.stack_id, HANDLE, word)
            .await?;
    }
    Ok(())
}
