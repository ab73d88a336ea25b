//! Renews the leases of active runs, independently of other work.

use std::sync::Arc;
use std::time::Duration;

use db::Db;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Tasks;
use crate::runs::Runs;

/// Lease duration.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(10);
/// Interval of renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(2500);
/// Interval of [`db::maintain`].
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// Starts the two tasks of a driver.
pub(crate) fn start(db: &Db, owner: &str, runs: Arc<Runs>, tasks: &Tasks) {
    let (store, owner, inner) = (db.clone(), owner.to_owned(), tasks.clone());
    tasks.spawn("lease renewal", async move {
        renew(&store, &owner, &runs, &inner).await;
    });
    let (store, stopping) = (db.clone(), tasks.token());
    tasks.spawn("flow maintenance", async move {
        loop {
            if let Err(e) = db::maintain(&store).await {
                tracing::warn!(error = %e, "old keys and receipts were not removed");
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
            }
        }
    });
}

async fn renew(db: &Db, owner: &str, runs: &Runs, tasks: &Tasks) {
    let (stopping, aborted) = (tasks.token(), tasks.aborted());
    let mut tick = tokio::time::interval_at(Instant::now() + RENEWAL_INTERVAL, RENEWAL_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut seen = runs.ended.version();
        // A stopping server keeps its leases until the last run has ended.
        if stopping.is_cancelled() && runs.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = aborted.cancelled() => return,
            () = stopping.cancelled(), if !stopping.is_cancelled() => continue,
            () = runs.ended.changed(&mut seen), if stopping.is_cancelled() => continue,
            _ = tick.tick() => {}
        }
        let alive = runs.leases();
        if !alive.is_empty() && db.safeguards().renewal {
            // Lost leases are counted by the driver when it ends their runs.
            if let Err(e) = db::renew(db, owner, &alive, LEASE_DURATION).await {
                tracing::warn!(error = %e, "leases were not renewed");
            }
        }
        for lease in alive.iter().filter(|l| !l.validity().holds()) {
            // Its run may wait for something else and would not detect the end.
            lease.validity().end();
        }
        if let Err(e) = db.align_clock().await {
            tracing::debug!(error = %e, "the clock was not aligned with the database");
        }
        if let Err(e) = db.check_schema().await {
            tracing::debug!(error = %e, "the schema of the database was not read");
        }
    }
}
