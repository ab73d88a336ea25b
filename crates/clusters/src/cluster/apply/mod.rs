//! Effects of the steps of a plan, one file for each.

mod cancel;
mod change_member;
mod create_stack;
mod delete_stack;
mod fail_nodes;
pub(crate) mod nodes;
mod remove_nodes;
mod replace;
mod roll_back;
pub(crate) mod run;
mod settle;
mod sizes;
pub(crate) mod start_resize;
mod update_stack;
mod wait;

use flow::Next;
use kernel::{Kind, Result};

use super::plan::{Step, is_rollback_requested};
use super::signal;
use crate::NodeId;
use run::Run;

/// Number of attempts to create a stack before the cluster fails.
const CREATE_ATTEMPTS: i64 = 6;
/// Performs one step, and returns when the reconciler runs again.
///
/// # Errors
/// Fails if the database or the stack fails.
pub(crate) async fn apply(run: &Run<'_>, step: &Step) -> Result<Next> {
    match step {
        Step::FailNodes(failures) => fail_nodes::fail_nodes(run, failures).await,
        Step::RepeatSignal(node) => repeat_signal(run, node).await,
        Step::CreateStack => {
            let done = create_stack::create_stack(run).await;
            end_if_refused(run, done).await
        }
        Step::UpdateStack => {
            let done = update_stack::update_stack(run).await;
            end_if_refused(run, done).await
        }
        Step::DeleteStack { retry } => delete_stack::delete_stack(run, retry.as_deref()).await,
        Step::ReportDeleteFailure(why) => delete_stack::report_failure(run, why).await,
        Step::Purge => delete_stack::purge(run).await,
        Step::RemoveNodes(names) => remove_nodes::remove_nodes(run, names).await,
        Step::ChangeMember(kind, name) => change_member::change_member(run, *kind, name).await,
        Step::Replace(nodes) => replace::replace(run, nodes).await,
        Step::Cancel(why) => {
            cancel::cancel(run, why).await?;
            Ok(Next::Done)
        }
        Step::RollBack(why) => {
            roll_back::roll_back(run, why).await?;
            Ok(Next::Again)
        }
        Step::Wait(why) => wait::wait(run, why.as_deref()).await,
        Step::WaitUntil(at, why) => wait::wait_until(run, *at, why).await,
        Step::Settle(outcome) => {
            let outcome = outcome.as_ref().copied().map_err(String::as_str);
            settle::settle(run, run.stack.as_ref(), outcome).await?;
            // Handle a server that was lost during the operation now.
            Ok(Next::Again)
        }
    }
}

async fn repeat_signal(run: &Run<'_>, node: &NodeId) -> Result<Next> {
    if let Some(n) = run.nodes.iter().find(|n| n.id == *node) {
        signal::repeat(run.d, run.lease, &run.ctx, &run.cluster, n).await?;
    }
    Ok(Next::Again)
}

/// A permanent error of the stack ends the operation.
async fn end_if_refused(run: &Run<'_>, done: Result<Next>) -> Result<Next> {
    match done {
        Err(e) if e.is_transient() => Err(e),
        Err(e) if matches!(e.kind, Kind::Internal) && run.lease.attempts < CREATE_ATTEMPTS => {
            Err(e)
        }
        Err(e) => {
            tracing::warn!(cluster = run.cluster.uuid.as_str(), error = %e, "the stack was refused");
            if is_rollback_requested(&run.cluster) {
                roll_back::roll_back(run, &e.message).await?;
            } else {
                settle::settle(run, None, Err(&e.message)).await?;
            }
            Ok(Next::Done)
        }
        ok => ok,
    }
}
