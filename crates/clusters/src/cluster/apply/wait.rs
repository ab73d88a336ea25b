//! Waits, and shows what the operation waits for.

use flow::Next;
use kernel::{Result, Timestamp};

use super::run::{RESYNC_INTERVAL, Run};
use crate::cluster::plan::status::Progress;

pub(super) async fn wait(run: &Run<'_>, why: Option<&str>) -> Result<Next> {
    if let Some(why) = why {
        run.report(Progress::Waiting(why)).await?;
    }
    Ok(Next::After(RESYNC_INTERVAL))
}

pub(super) async fn wait_until(run: &Run<'_>, at: Timestamp, why: &str) -> Result<Next> {
    run.report(Progress::Waiting(why)).await?;
    Ok(Next::After(at.since(run.now)))
}
