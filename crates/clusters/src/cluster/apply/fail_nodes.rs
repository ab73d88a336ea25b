//! Fails awaited nodes whose servers have failed. The next run signals their
//! wait condition.

use flow::Next;
use kernel::{Result, clock};

use super::run::Run;
use crate::cluster::plan::{NodeFailure, failures};
use crate::node::{self, NodeEvent};

/// Name of the step that reports a server in error.
const STEP: &str = "server";

pub(super) async fn fail_nodes(run: &Run<'_>, failed: &[NodeFailure]) -> Result<Next> {
    let Some(stack) = &run.stack else {
        return Ok(Next::Again);
    };
    db::fenced!(run.d.db, run.lease, |tx| {
        for failure in failed {
            let Some(mut n) = node::table::load_tx(tx, &failure.node).await? else {
                continue;
            };
            // The report of the agent may have come first, and it is more
            // precise.
            if failures::may_fail(&n, stack) {
                n.report(STEP, "failed", clock::now(), &failure.why);
                n.status = n.status.after(NodeEvent::Failed);
                n.signal = Some("FAILURE".into());
                n.signalled = false;
                node::table::save_fenced(tx, &n).await?;
            }
        }
        Ok(())
    })?;
    Ok(Next::Again)
}
