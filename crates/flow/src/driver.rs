//! The driver: claims dirty keys and runs their reconcilers.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::{Db, Lease, RunOutcome};
use futures_util::FutureExt as _;
use kernel::{Error, Result, ids};
use tokio::time::Instant;

use crate::backlog::{Backlog, Capacity};
use crate::renewal::{self, LEASE_DURATION};
use crate::runs::{Key, Runs};
use crate::{Counts, Tasks};

/// Interval of searches without an event.
const RESYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of due keys kept in memory, because a search reads all due
/// keys.
const MAX_BACKLOG: u32 = 4096;
/// With fewer free slots than this, a claim waits for more.
const MIN_FREE_SLOTS: usize = 16;
/// Minimum interval between two searches.
const MIN_SEARCH_INTERVAL: Duration = Duration::from_millis(5);
/// Maximum number of consecutive steps of a run under one lease.
const MAX_STEPS: u32 = 16;
/// Delay before the first repeat of a failed run; doubles up to the maximum.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Maximum delay before a failed run is repeated.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Maximum time between two checks of a key, so that a database clock that was
/// set back cannot delay it for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Maximum number of concurrent runs in one process: most runs wait for an
/// engine, which limits concurrent changes itself.
const MAX_RUNS: usize = 512;
/// Maximum number of concurrent runs of one project, so that others always have
/// capacity.
const MAX_RUNS_PER_PROJECT: usize = MAX_RUNS * 3 / 4;

/// Next action requested by a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing until the key is marked again.
    Done,
    /// Run again immediately: there is more to do.
    Again,
    /// Run again after this time, or when marked.
    After(Duration),
    /// The row was deleted.
    Gone,
}

impl From<Next> for RunOutcome {
    fn from(next: Next) -> Self {
        match next {
            Next::Done => Self::Clean,
            Next::Again => Self::After(Duration::ZERO),
            Next::After(pause) => Self::After(pause.min(LONGEST_PAUSE)),
            Next::Gone => Self::Gone,
        }
    }
}

/// Reconciles one kind of row: moves the observed state towards the desired
/// state.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// The kind of key, such as `server`.
    fn kind(&self) -> &'static str;

    /// Maximum number of concurrent runs of this kind in one process.
    fn limit(&self) -> usize {
        MAX_RUNS
    }

    /// Runs once under a lease. Every write must be fenced by it
    /// ([`db::fenced!`]). An error causes a retry with backoff; a permanent
    /// failure is stored as a status of the row instead. The run is dropped at
    /// an await point when its lease is lost.
    async fn run(&self, lease: &Lease) -> Result<Next>;
}

/// Runs reconcilers over the keys of one database.
pub struct Driver {
    db: Db,
    owner: String,
    reconcilers: BTreeMap<&'static str, Arc<dyn Reconciler>>,
    counts: Counts,
    runs: Arc<Runs>,
}

/// State of the driver between two rounds.
struct Search {
    /// Marked keys whose project is not known yet.
    marked: BTreeSet<Key>,
    /// Due keys that wait for a free slot.
    backlog: Backlog,
    /// Whether a search has filled the backlog.
    filled: bool,
    /// Whether only a search finds all due keys.
    scan: bool,
    /// Time of the next search without an event.
    next: Instant,
    /// When to retry keys that could not be started.
    again: Option<Instant>,
    /// Until when a claim waits for more free slots.
    waits: Option<Instant>,
}

impl Search {
    /// Whether to wait for more slots if few are free and keys wait, because a
    /// separate claim for each costs a commit.
    fn waits_for_slots(&mut self, slots: usize) -> bool {
        let keys = !self.marked.is_empty() || !self.backlog.is_empty();
        if !keys || slots >= MIN_FREE_SLOTS {
            self.waits = None;
            return false;
        }
        let now = Instant::now();
        let until = *self.waits.get_or_insert(now + MIN_SEARCH_INTERVAL);
        if now >= until {
            self.waits = None;
            return false;
        }
        self.again = Some(until);
        true
    }
}

impl Driver {
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            owner: ids::uuid(),
            reconcilers: BTreeMap::new(),
            counts: Counts::default(),
            runs: Arc::default(),
        }
    }

    /// Adds the reconciler of one kind.
    #[must_use]
    pub fn with(mut self, reconciler: Arc<dyn Reconciler>) -> Self {
        self.reconcilers.insert(reconciler.kind(), reconciler);
        self
    }

    /// Figures of this driver, for `/metrics`.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Starts the worker in `tasks`, and the renewal of its leases, which
    /// continues until the last run has ended.
    pub fn start(self, tasks: &Tasks) {
        let driver = Arc::new(self);
        renewal::start(&driver.db, &driver.owner, driver.runs.clone(), tasks);
        let inner = tasks.clone();
        tasks.spawn("flow driver", async move { driver.work(&inner).await });
    }

    async fn work(self: Arc<Self>, tasks: &Tasks) {
        let stopping = tasks.token();
        let mut due = self.db.wakes().subscribe_marked();
        let mut search = Search {
            marked: BTreeSet::new(),
            backlog: Backlog::default(),
            filled: false,
            scan: true,
            next: Instant::now(),
            again: None,
            waits: None,
        };
        loop {
            due.mark_unchanged();
            let mut seen = self.runs.ended.version();
            let news = self.db.wakes().marked();
            search.scan |= news.overflow;
            search.marked.extend(news.keys);
            search.marked.extend(self.runs.due());
            if let Err(e) = self.start_runs(&mut search, tasks).await {
                tracing::warn!(error = %e, "keys were not claimed");
                search.scan = true;
                search.next = Instant::now() + RESYNC_INTERVAL.mul_f64(0.1 + 0.1 * ids::jitter());
            }
            let delayed = [self.runs.next_due(), search.again.take()];
            let wake = delayed
                .into_iter()
                .flatten()
                .fold(search.next, Instant::min);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                _ = due.changed() => {}
                // A slot is free, or a run has set its next time.
                () = self.runs.ended.changed(&mut seen) => {}
                () = tokio::time::sleep_until(wake) => {
                    search.scan |= Instant::now() >= search.next;
                }
            }
        }
    }

    /// Claims due keys within the free slots and runs them.
    async fn start_runs(self: &Arc<Self>, search: &mut Search, tasks: &Tasks) -> Result<()> {
        let (running, mut capacity) = self.capacity();
        // Keys that already run are checked again after their runs.
        search
            .marked
            .retain(|key| !running.contains(key) && capacity.kinds.contains_key(key.0.as_str()));
        if search.marked.len() > MAX_BACKLOG as usize {
            search.marked.clear();
            search.scan = true;
        }
        if capacity.slots == 0 {
            return Ok(());
        }
        if search.scan && (search.backlog.is_empty() || Instant::now() >= search.next) {
            self.search(search).await?;
        }
        if search.waits_for_slots(capacity.slots) {
            return Ok(());
        }
        let mut keys = std::mem::take(&mut search.marked);
        let direct = search.backlog.is_empty()
            && running.len() + keys.len() <= MAX_RUNS_PER_PROJECT
            && capacity.fits(&keys);
        if !direct {
            for due in db::projects_of(&self.db, &keys).await? {
                search.backlog.put(due);
            }
            keys = search.backlog.take(&mut capacity);
            if search.filled && search.backlog.is_empty() {
                // The last search does not include keys that became due later.
                search.filled = false;
                search.scan = true;
            }
        }
        keys.retain(|key| !running.contains(key));
        if !keys.is_empty() {
            for lease in db::claim(&self.db, &self.owner, LEASE_DURATION, &keys).await? {
                self.spawn(lease, tasks);
            }
        }
        if search.scan && search.backlog.is_empty() {
            search.again = Some(Instant::now() + MIN_SEARCH_INTERVAL);
        }
        Ok(())
    }

    /// Fills the backlog with due keys.
    async fn search(&self, search: &mut Search) -> Result<()> {
        let kinds: Vec<&str> = self.reconcilers.keys().copied().collect();
        let found = db::search(&self.db, &kinds, MAX_BACKLOG).await?;
        search.scan = found.len() >= MAX_BACKLOG as usize;
        if !search.scan {
            // The search includes all marked keys.
            search.marked.clear();
        }
        search.next = Instant::now() + RESYNC_INTERVAL;
        if found.is_empty()
            && let Some(pause) = db::next_due(&self.db, &kinds).await?
        {
            search.next = Instant::now() + pause.clamp(MIN_SEARCH_INTERVAL, RESYNC_INTERVAL);
        }
        search.filled |= !found.is_empty();
        for due in found {
            search.backlog.put(due);
        }
        Ok(())
    }

    /// The running keys, and the remaining capacity.
    fn capacity(&self) -> (BTreeSet<Key>, Capacity) {
        let mut kinds: BTreeMap<&'static str, usize> = self
            .reconcilers
            .values()
            .map(|r| (r.kind(), r.limit()))
            .collect();
        let mut projects: BTreeMap<String, usize> = BTreeMap::new();
        let running = self.runs.with(|alive| {
            for lease in alive.values() {
                if let Some(n) = kinds.get_mut(lease.kind.as_str()) {
                    *n = n.saturating_sub(1);
                }
                if let Some(project) = &lease.project {
                    *projects.entry(project.clone()).or_default() += 1;
                }
            }
            alive.keys().cloned().collect::<BTreeSet<Key>>()
        });
        let capacity = Capacity {
            slots: MAX_RUNS.saturating_sub(running.len()),
            kinds,
            projects,
            per_project: MAX_RUNS_PER_PROJECT,
        };
        (running, capacity)
    }

    fn spawn(self: &Arc<Self>, lease: Lease, tasks: &Tasks) {
        let this = self.clone();
        let key = (lease.kind.clone(), lease.id.clone());
        self.runs
            .with(|alive| alive.insert(key.clone(), lease.clone()));
        let aborted = tasks.aborted();
        tasks.spawn("reconcile", async move {
            let pause = tokio::select! {
                biased;
                // The run is not completed; its lease expires.
                () = aborted.cancelled() => None,
                pause = this.run(&lease) => pause,
            };
            this.runs.end(&key, pause);
        });
    }

    /// Handles a lost lease: another worker has the key.
    fn lost(&self, lease: &Lease) -> Option<Duration> {
        tracing::info!(kind = lease.kind, id = lease.id, "a run lost its lease");
        self.counts.count_lost(1);
        None
    }

    /// Runs the reconciler, and returns the delay after which the key is due
    /// again.
    async fn run(&self, lease: &Lease) -> Option<Duration> {
        let reconciler = self.reconcilers.get(lease.kind.as_str())?;
        let run = AssertUnwindSafe(steps(reconciler.as_ref(), lease)).catch_unwind();
        self.counts.count_run(reconciler.kind());
        let outcome = match lease.guard(run).await {
            Ok(Ok(Ok(next))) => next,
            // A write detected that another worker has the key.
            Ok(Ok(Err(_))) if !lease.validity().holds() => return self.lost(lease),
            Ok(Ok(Err(e))) => failed(lease, &e),
            Ok(Err(_)) => failed(lease, &Error::internal("the run panicked")),
            Err(db::LeaseLost) => return self.lost(lease),
        };
        if let RunOutcome::Failed(..) = outcome {
            self.counts.count_failure(reconciler.kind());
        }
        if let Err(e) = db::complete(&self.db, lease, &outcome).await {
            // The lease is no longer renewed, so the key becomes due when it
            // expires.
            tracing::warn!(kind = lease.kind, id = lease.id, error = %e, "a run was not completed");
            return Some(LEASE_DURATION);
        }
        match outcome {
            RunOutcome::After(pause) | RunOutcome::Failed(pause, _) => Some(pause),
            RunOutcome::Clean | RunOutcome::Gone => None,
        }
    }
}

/// Repeats steps as long as there is more to do immediately.
async fn steps(reconciler: &dyn Reconciler, lease: &Lease) -> Result<RunOutcome> {
    for _ in 0..MAX_STEPS {
        match reconciler.run(lease).await? {
            Next::Again => {}
            next => return Ok(next.into()),
        }
    }
    Ok(Next::Again.into())
}

fn failed(lease: &Lease, e: &Error) -> RunOutcome {
    let doubled = BACKOFF_MIN.saturating_mul(1 << lease.attempts.clamp(0, 10));
    let pause = doubled.min(BACKOFF_MAX).mul_f64(0.75 + ids::jitter() / 2.0);
    tracing::warn!(kind = lease.kind, id = lease.id, attempt = lease.attempts + 1, error = %e, "run failed");
    RunOutcome::Failed(pause, e.to_string())
}
