//! Scenarios of the driver: takeover, retries, notifications.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and a run of a reconciler that panics is one of the stories"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use db::{Db, Migration, values};
use flow::{Driver, Lease, Next, Reconciler, Tasks};
use kernel::{Error, Result};
use testkit::{eventually, every_database};

const TABLES: &[Migration] = &[Migration {
    name: "test-001-tally",
    sql: "CREATE TABLE tally (id varchar(36) NOT NULL PRIMARY KEY, n bigint NOT NULL)",
}];

/// Counts each key to three, one fenced step per run.
struct Count {
    db: Db,
    fails: AtomicUsize,
}

#[async_trait]
impl Reconciler for Count {
    fn kind(&self) -> &'static str {
        "tally"
    }

    async fn run(&self, lease: &Lease) -> Result<Next> {
        if self.fails.load(Ordering::SeqCst) > 0 {
            self.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::unavailable("not yet"));
        }
        let row = db::fenced!(self.db, lease, |tx| {
            tx.execute(
                "UPDATE tally SET n = n + 1 WHERE id = ?",
                values![&lease.id],
            )
            .await?;
            tx.query_opt("SELECT n FROM tally WHERE id = ?", values![&lease.id])
                .await
        })?;
        let n = row.map_or(Ok(0), |r| r.int("n"))?;
        Ok(if n < 3 { Next::Again } else { Next::Done })
    }
}

async fn add(db: &Db, id: &str) {
    db::write!(db, |tx| {
        flow::mark(tx, "tally", id).await?;
        tx.execute("INSERT INTO tally (id, n) VALUES (?, 0)", values![id])
            .await
    })
    .unwrap();
}

async fn sum(db: &Db) -> i64 {
    let rows = db.query("SELECT n FROM tally", vec![]).await.unwrap();
    rows.iter().map(|r| r.int("n").unwrap()).sum()
}

fn start(db: &Db, fails: usize) -> Tasks {
    let tasks = Tasks::default();
    let count = Count {
        db: db.clone(),
        fails: AtomicUsize::new(fails),
    };
    Driver::new(db.clone()).with(Arc::new(count)).start(&tasks);
    tasks
}

#[tokio::test]
async fn two_workers_share_keys_and_no_step_is_done_twice() {
    for t in every_database(TABLES).await {
        let (a, b) = (start(&t.db, 0), start(&t.db, 0));
        for n in 0..40 {
            add(&t.db, &format!("key-{n}")).await;
        }
        eventually(
            "all keys count to three",
            Duration::from_secs(20),
            || async { sum(&t.db).await >= 120 },
        )
        .await;
        a.stop(Duration::from_secs(5)).await;
        b.stop(Duration::from_secs(5)).await;
        assert_eq!(sum(&t.db).await, 120, "{}", t.name);
    }
}

#[tokio::test]
async fn a_marked_key_runs_at_once_and_a_failing_one_is_retried() {
    for t in every_database(TABLES).await {
        let tasks = start(&t.db, 2);
        let begun = Instant::now();
        add(&t.db, "one").await;
        eventually(
            "the key counts to three",
            Duration::from_secs(10),
            || async { sum(&t.db).await == 3 },
        )
        .await;
        // Much faster than the scan, so notification and backoff caused it.
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{}: {:?}",
            t.name,
            begun.elapsed()
        );
        tasks.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn the_keys_of_a_dead_worker_are_taken_over() {
    for t in every_database(TABLES).await {
        add(&t.db, "one").await;
        // A worker that claims and then stops.
        let lease = Duration::from_secs(1);
        let dead = db::claim_for(&t.db, &["tally"], "dead", 8, lease)
            .await
            .unwrap();
        assert_eq!(dead.len(), 1);
        let tasks = start(&t.db, 0);
        eventually("another continues", Duration::from_secs(10), || async {
            sum(&t.db).await == 3
        })
        .await;
        tasks.stop(Duration::from_secs(5)).await;
    }
}

/// Sleeps in each run, counts concurrent runs, and panics on demand.
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
    runs: AtomicUsize,
    pause: Duration,
    panics: AtomicUsize,
}

impl Slow {
    fn new(pause: Duration) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
            pause,
            panics: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Reconciler for Slow {
    fn kind(&self) -> &'static str {
        "tally"
    }

    async fn run(&self, _: &Lease) -> Result<Next> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.pause).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.runs.fetch_add(1, Ordering::SeqCst);
        if self.panics.load(Ordering::SeqCst) > 0 {
            self.panics.fetch_sub(1, Ordering::SeqCst);
            panic!("a run that panics");
        }
        Ok(Next::Done)
    }
}

fn drive(db: &Db, slow: &Arc<Slow>) -> (Tasks, flow::Counts) {
    let tasks = Tasks::default();
    let driver = Driver::new(db.clone()).with(slow.clone());
    let counts = driver.counts();
    driver.start(&tasks);
    (tasks, counts)
}

/// Runs that take longer than a lease keep it while claims continue to find
/// work; no key runs twice concurrently.
#[tokio::test]
async fn two_hundred_and_fifty_slow_runs_lose_no_lease() {
    for t in every_database(TABLES).await {
        let slow = Slow::new(Duration::from_secs(12));
        let (a, first) = drive(&t.db, &slow);
        let (b, second) = drive(&t.db, &slow);
        for n in 0..250 {
            add(&t.db, &format!("key-{n}")).await;
        }
        eventually("all have run", Duration::from_secs(50), || async {
            slow.runs.load(Ordering::SeqCst) >= 250
        })
        .await;
        a.stop(Duration::from_secs(15)).await;
        b.stop(Duration::from_secs(15)).await;
        assert_eq!(slow.runs.load(Ordering::SeqCst), 250, "{}", t.name);
        let lost = first.figures().lost_leases + second.figures().lost_leases;
        assert_eq!(lost, 0, "{}", t.name);
    }
}

#[tokio::test]
async fn a_server_that_stops_keeps_its_leases_until_its_last_run_has_ended() {
    for t in every_database(TABLES).await {
        let slow = Slow::new(Duration::from_secs(11));
        let (a, _) = drive(&t.db, &slow);
        add(&t.db, "one").await;
        eventually("it runs", Duration::from_secs(5), || async {
            slow.now.load(Ordering::SeqCst) == 1
        })
        .await;
        let (b, _) = drive(&t.db, &slow);
        a.stop(Duration::from_secs(20)).await;
        b.stop(Duration::from_secs(20)).await;
        assert_eq!(slow.most.load(Ordering::SeqCst), 1, "{}", t.name);
        assert_eq!(slow.runs.load(Ordering::SeqCst), 1, "{}", t.name);
    }
}

#[tokio::test]
async fn a_run_that_panics_frees_its_key() {
    let t = testkit::TestDb::sqlite(TABLES).await;
    let slow = Slow::new(Duration::ZERO);
    slow.panics.store(1, Ordering::SeqCst);
    let (tasks, counts) = drive(&t.db, &slow);
    add(&t.db, "one").await;
    eventually("it runs again", Duration::from_secs(4), || async {
        slow.runs.load(Ordering::SeqCst) == 2
    })
    .await;
    assert_eq!(counts.figures().failures["tally"], 1);
    tasks.stop(Duration::from_secs(5)).await;
}

/// A project with many keys does not delay another project.
#[tokio::test]
async fn keys_are_drawn_from_each_project_in_turn() {
    for t in every_database(TABLES).await {
        for n in 0..800 {
            let id = format!("flood-{n:03}");
            db::write!(t.db, |tx| flow::mark_for(tx, "tally", &id, &"many".into())
                .await)
            .unwrap();
        }
        db::write!(t.db, |tx| flow::mark_for(
            tx,
            "tally",
            "late",
            &"one".into()
        )
        .await)
        .unwrap();
        let slow = Slow::new(Duration::from_millis(1500));
        let order = db::claim_for(&t.db, &["tally"], "x", 4, Duration::from_secs(9))
            .await
            .unwrap();
        assert!(
            order.iter().any(|l| l.id == "late"),
            "{}: {order:?}",
            t.name
        );
        let (tasks, _) = drive(&t.db, &slow);
        eventually("many run", Duration::from_secs(5), || async {
            slow.now.load(Ordering::SeqCst) >= 380
        })
        .await;
        // A quarter of the slots is reserved for others.
        assert!(slow.most.load(Ordering::SeqCst) <= 384, "{}", t.name);
        tasks.stop(Duration::from_secs(10)).await;
    }
}
