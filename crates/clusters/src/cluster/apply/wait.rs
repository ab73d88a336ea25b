//! Waits, and shows for what.

use std::time::Duration;

use flow::Next;
use kernel::Result;

use super::run::{RESYNC_INTERVAL, Run};
use crate::cluster::plan::status::Progress;

pub(super) async fn wait(run: &Run<'_>, why: Option<&str>) -> Result<Next> {
    if let Some(why) = why {
        run.report(Progress::Waiting(why)).await?;
    }
    Ok(Next::After(RESYNC_INTERVAL))
}

pub(super) async fn wait_until(run: &Run<'_>, at: i64, why: &str) -> Result<Next> {
    run.report(Progress::Waiting(why)).await?;
    let left = u64::try_from(at - run.now).unwrap_or(0);
    Ok(Next::After(Duration::from_micros(left)))
}
