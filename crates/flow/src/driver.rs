//! The driver: claims dirty keys, runs their reconcilers, renews leases.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::{Db, Dirty, Lease};
use kernel::{Error, Result, clock, ids};
use tokio::sync::Semaphore;

use crate::Tasks;

/// A lease lasts so long unless it is renewed.
const LEASE: Duration = Duration::from_secs(5);
/// Renewed so often while runs are going on.
const RENEW: Duration = Duration::from_millis(1500);
/// The slow safety net where no event wakes us.
const SCAN: Duration = Duration::from_secs(5);
/// Retries of a failing run back off from here …
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// … to here.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Runs at the same time in one process.
const PARALLEL: usize = 256;

/// What a run wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing until the key is marked again.
    Done,
    /// Again at once: there is more to do.
    Again,
    /// Again after this time, or when marked.
    After(Duration),
    /// The row is gone.
    Gone,
}

/// Brings one kind of row from what is to what should be.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// The kind of key, such as `server`.
    fn kind(&self) -> &'static str;

    /// One run under a lease. Every write must be fenced by it
    /// ([`db::Tx::fence`]). An error is a retry with back-off; a failure that
    /// no retry mends is a status of the row, not an error.
    async fn run(&self, lease: &Lease) -> Result<Next>;
}

/// Runs reconcilers over the keys of one database.
pub struct Driver {
    db: Db,
    owner: String,
    reconcilers: HashMap<&'static str, Arc<dyn Reconciler>>,
}

impl Driver {
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            owner: ids::uuid(),
            reconcilers: HashMap::new(),
        }
    }

    /// Adds the reconciler of one kind.
    #[must_use]
    pub fn with(mut self, reconciler: Arc<dyn Reconciler>) -> Self {
        self.reconcilers.insert(reconciler.kind(), reconciler);
        self
    }

    /// Starts the worker in `tasks`; it stops with them.
    pub fn start(self, tasks: &Tasks) {
        let worker = Arc::new(self);
        let inner = tasks.clone();
        tasks.spawn("flow driver", async move { worker.work(&inner).await });
    }

    async fn work(self: Arc<Self>, tasks: &Tasks) {
        let token = tasks.token();
        let kinds: Vec<&'static str> = self.reconcilers.keys().copied().collect();
        let slots = Arc::new(Semaphore::new(PARALLEL));
        let mut wakes = self.db.wakes().subscribe();
        let mut renew = tokio::time::interval(RENEW);
        let lease_micros = micros(LEASE);
        loop {
            wakes.mark_unchanged();
            let free = u32::try_from(slots.available_permits()).unwrap_or(0);
            let claimed = if free == 0 {
                Ok(db::Claim::default())
            } else {
                db::claim(&self.db, &kinds, &self.owner, free, lease_micros).await
            };
            let wait = match claimed {
                Ok(claim) if !claim.leases.is_empty() => {
                    for lease in claim.leases {
                        let Ok(slot) = slots.clone().acquire_owned().await else {
                            return;
                        };
                        let this = self.clone();
                        tasks.spawn("reconcile", async move {
                            this.run(lease).await;
                            drop(slot);
                        });
                    }
                    continue;
                }
                Ok(claim) => claim.next_due.map_or(SCAN, |due| {
                    let left = u64::try_from(due - clock::now_micros()).unwrap_or(0);
                    Duration::from_micros(left).clamp(Duration::from_millis(5), SCAN)
                }),
                Err(e) => {
                    tracing::warn!(error = %e, "claim failed");
                    SCAN
                }
            };
            let wake = tokio::time::sleep(wait);
            tokio::pin!(wake);
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    () = &mut wake => break,
                    _ = wakes.changed() => break,
                    _ = renew.tick() => {
                        if slots.available_permits() < PARALLEL
                            && let Err(e) = db::renew(&self.db, &self.owner, lease_micros).await
                        {
                            tracing::warn!(error = %e, "leases were not renewed");
                        }
                    }
                }
            }
        }
    }

    async fn run(&self, lease: Lease) {
        let Some(reconciler) = self.reconcilers.get(lease.kind.as_str()) else {
            return;
        };
        let outcome = match reconciler.run(&lease).await {
            Ok(Next::Done) => Dirty::Clean,
            Ok(Next::Again) => Dirty::At(clock::now_micros()),
            Ok(Next::After(d)) => Dirty::At(clock::now_micros() + micros(d)),
            Ok(Next::Gone) => Dirty::Gone,
            Err(e) => failed(&lease, &e),
        };
        if let Err(e) = db::complete(&self.db, &lease, &outcome).await {
            tracing::warn!(kind = lease.kind, id = lease.id, error = %e, "run was not completed");
        }
    }
}

fn failed(lease: &Lease, e: &Error) -> Dirty {
    let doubled = BACKOFF_MIN.saturating_mul(1 << lease.attempts.clamp(0, 10));
    let wait = doubled.min(BACKOFF_MAX).mul_f64(0.75 + ids::jitter() / 2.0);
    tracing::warn!(kind = lease.kind, id = lease.id, attempt = lease.attempts + 1, error = %e, "run failed");
    Dirty::Failed(clock::now_micros() + micros(wait), e.to_string())
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}
