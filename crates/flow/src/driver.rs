//! The driver: claims dirty keys and runs their reconcilers.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use db::{Db, Dirty, Lease};
use futures_util::FutureExt as _;
use kernel::{Error, Result, ids};
use tokio::time::Instant;

use crate::backlog::{Backlog, Capacity};
use crate::renewal::{self, LEASE};
use crate::runs::{Key, Runs};
use crate::{Counts, Tasks};

/// Between two searches for keys where no event says that there is one.
const RESYNC: Duration = Duration::from_secs(5);
/// Due keys that are kept in memory: a search reads all that is due.
const BACKLOG: u32 = 4096;
/// Where fewer slots than this are free, a claim waits for more.
const TOGETHER: usize = 16;
/// Shortest pause between two searches.
const PAUSE: Duration = Duration::from_millis(5);
/// A run that has more to do goes on under its lease so many times.
const STEPS: u32 = 16;
/// First pause before a failing run is repeated; doubles up to the last.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest pause before a failing run is repeated.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// No key waits longer before it is looked at again: a clock of the database
/// that was set back delays nothing for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Runs at the same time in one process: most of them wait for an engine, which
/// has a limit of its own for calls that change something.
const PARALLEL: usize = 512;
/// Runs of one project at the same time: the others always find capacity.
const PER_TENANT: usize = PARALLEL * 3 / 4;

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

impl From<Next> for Dirty {
    fn from(next: Next) -> Self {
        match next {
            Next::Done => Self::Clean,
            Next::Again => Self::After(Duration::ZERO),
            Next::After(pause) => Self::After(pause.min(LONGEST_PAUSE)),
            Next::Gone => Self::Gone,
        }
    }
}

/// Brings one kind of row from what is to what should be.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// The kind of key, such as `server`.
    fn kind(&self) -> &'static str;

    /// Runs of this kind at the same time in one process.
    fn limit(&self) -> usize {
        PARALLEL
    }

    /// One run under a lease. Every write must be fenced by it
    /// ([`db::fenced!`]). An error is a retry with backoff; a failure that no
    /// retry mends is a status of the row, not an error. The run is dropped at
    /// an await when its lease is lost.
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

/// What the driver knows between two rounds.
struct Search {
    /// Marked keys of which it is not known whose they are.
    marked: BTreeSet<Key>,
    /// Due keys that wait for a free slot.
    backlog: Backlog,
    /// Whether a search has put keys there.
    filled: bool,
    /// Whether only a search finds all that is due.
    scan: bool,
    /// When to search although nothing happened.
    next: Instant,
    /// When to look again at what could not be started.
    again: Option<Instant>,
    /// Until when a claim waits for more free slots.
    waits: Option<Instant>,
}

impl Search {
    /// Where few slots are free and keys wait, whether to wait for more slots:
    /// a claim of each alone costs a commit for each.
    fn waits_for_slots(&mut self, slots: usize) -> bool {
        let keys = !self.marked.is_empty() || !self.backlog.is_empty();
        if !keys || slots >= TOGETHER {
            self.waits = None;
            return false;
        }
        let now = Instant::now();
        let until = *self.waits.get_or_insert(now + PAUSE);
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

    /// Starts the worker in `tasks`, and beside it the renewal of its leases,
    /// which goes on until the last run has ended.
    pub fn start(self, tasks: &Tasks) {
        let driver = Arc::new(self);
        renewal::start(&driver.db, &driver.owner, driver.runs.clone(), tasks);
        let inner = tasks.clone();
        tasks.spawn("flow driver", async move { driver.work(&inner).await });
    }

    async fn work(self: Arc<Self>, tasks: &Tasks) {
        let stopping = tasks.token();
        let mut due = self.db.wakes().subscribe_marked();
        let mut ended = self.runs.ended.subscribe();
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
            ended.mark_unchanged();
            let news = self.db.wakes().marked();
            search.scan |= news.overflow;
            search.marked.extend(news.keys);
            search.marked.extend(self.runs.due());
            if let Err(e) = self.start_runs(&mut search, tasks).await {
                tracing::warn!(error = %e, "keys were not claimed");
                search.scan = true;
                search.next = Instant::now() + RESYNC.mul_f64(0.1 + 0.1 * ids::jitter());
            }
            let later = [self.runs.next_due(), search.again.take()];
            let wake = later.into_iter().flatten().fold(search.next, Instant::min);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                _ = due.changed() => {}
                // A slot is free, or a run says when to look again.
                _ = ended.changed() => {}
                () = tokio::time::sleep_until(wake) => {
                    search.scan |= Instant::now() >= search.next;
                }
            }
        }
    }

    /// Claims what is due as far as there are free slots, and runs it.
    async fn start_runs(self: &Arc<Self>, search: &mut Search, tasks: &Tasks) -> Result<()> {
        let (running, mut capacity) = self.capacity();
        // What runs already is looked at when its run has ended.
        search
            .marked
            .retain(|key| !running.contains(key) && capacity.kinds.contains_key(key.0.as_str()));
        if search.marked.len() > BACKLOG as usize {
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
            && running.len() + keys.len() <= PER_TENANT
            && capacity.fits(&keys);
        if !direct {
            for due in db::tenants(&self.db, &keys).await? {
                search.backlog.put(due);
            }
            keys = search.backlog.take(&mut capacity);
            if search.filled && search.backlog.is_empty() {
                // The last search has not seen what became due since.
                search.filled = false;
                search.scan = true;
            }
        }
        keys.retain(|key| !running.contains(key));
        if !keys.is_empty() {
            for lease in db::claim(&self.db, &self.owner, LEASE, &keys).await? {
                self.spawn(lease, tasks);
            }
        }
        if search.scan && search.backlog.is_empty() {
            search.again = Some(Instant::now() + PAUSE);
        }
        Ok(())
    }

    /// Fills the backlog with what is due.
    async fn search(&self, search: &mut Search) -> Result<()> {
        let kinds: Vec<&str> = self.reconcilers.keys().copied().collect();
        let found = db::search(&self.db, &kinds, BACKLOG).await?;
        search.scan = found.len() >= BACKLOG as usize;
        if !search.scan {
            // Whatever was marked is among them.
            search.marked.clear();
        }
        search.next = Instant::now() + RESYNC;
        if found.is_empty()
            && let Some(pause) = db::next_due(&self.db, &kinds).await?
        {
            search.next = Instant::now() + pause.clamp(PAUSE, RESYNC);
        }
        search.filled |= !found.is_empty();
        for due in found {
            search.backlog.put(due);
        }
        Ok(())
    }

    /// The keys that run, and the capacity beside them.
    fn capacity(&self) -> (BTreeSet<Key>, Capacity) {
        let mut kinds: BTreeMap<&'static str, usize> = self
            .reconcilers
            .values()
            .map(|r| (r.kind(), r.limit()))
            .collect();
        let mut tenants: BTreeMap<String, usize> = BTreeMap::new();
        let running = self.runs.with(|alive| {
            for lease in alive.values() {
                if let Some(n) = kinds.get_mut(lease.kind.as_str()) {
                    *n = n.saturating_sub(1);
                }
                if let Some(tenant) = &lease.tenant {
                    *tenants.entry(tenant.clone()).or_default() += 1;
                }
            }
            alive.keys().cloned().collect::<BTreeSet<Key>>()
        });
        let capacity = Capacity {
            slots: PARALLEL.saturating_sub(running.len()),
            kinds,
            tenants,
            per_tenant: PER_TENANT,
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
                // Nobody completes the run: its lease ends by itself.
                () = aborted.cancelled() => None,
                pause = this.run(&lease) => pause,
            };
            this.runs.end(&key, pause);
        });
    }

    /// Another worker has the key, and looks after it.
    fn lost(&self, lease: &Lease) -> Option<Duration> {
        tracing::info!(kind = lease.kind, id = lease.id, "a run lost its lease");
        self.counts.count_lost(1);
        None
    }

    /// Runs the reconciler; answers after which pause the key is due again.
    async fn run(&self, lease: &Lease) -> Option<Duration> {
        let reconciler = self.reconcilers.get(lease.kind.as_str())?;
        let run = AssertUnwindSafe(steps(reconciler.as_ref(), lease)).catch_unwind();
        self.counts.count_run(reconciler.kind());
        let outcome = match lease.guard(run).await {
            Ok(Ok(Ok(next))) => next,
            // A write found out that another worker has the key.
            Ok(Ok(Err(_))) if !lease.validity().holds() => return self.lost(lease),
            Ok(Ok(Err(e))) => failed(lease, &e),
            Ok(Err(_)) => failed(lease, &Error::internal("the run panicked")),
            Err(db::LeaseLost) => return self.lost(lease),
        };
        if let Dirty::Failed(..) = outcome {
            self.counts.count_failure(reconciler.kind());
        }
        if let Err(e) = db::complete(&self.db, lease, &outcome).await {
            // The lease is not renewed any more: its end brings the key back.
            tracing::warn!(kind = lease.kind, id = lease.id, error = %e, "a run was not completed");
            return Some(LEASE);
        }
        match outcome {
            Dirty::After(pause) | Dirty::Failed(pause, _) => Some(pause),
            Dirty::Clean | Dirty::Gone => None,
        }
    }
}

/// Runs as long as there is more to do at once.
async fn steps(reconciler: &dyn Reconciler, lease: &Lease) -> Result<Dirty> {
    for _ in 0..STEPS {
        match reconciler.run(lease).await? {
            Next::Again => {}
            next => return Ok(next.into()),
        }
    }
    Ok(Next::Again.into())
}

fn failed(lease: &Lease, e: &Error) -> Dirty {
    let doubled = BACKOFF_MIN.saturating_mul(1 << lease.attempts.clamp(0, 10));
    let pause = doubled.min(BACKOFF_MAX).mul_f64(0.75 + ids::jitter() / 2.0);
    tracing::warn!(kind = lease.kind, id = lease.id, attempt = lease.attempts + 1, error = %e, "run failed");
    Dirty::Failed(pause, e.to_string())
}
