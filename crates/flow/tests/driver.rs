//! Stories of the driver: takeover, retries, wake by event.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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

/// Counts each key to three, one fenced step a run.
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
        let mut tx = self.db.begin().await?;
        tx.fence(lease).await?;
        tx.execute(
            "UPDATE tally SET n = n + 1 WHERE id = ?",
            values![&lease.id],
        )
        .await?;
        let row = tx
            .query_opt("SELECT n FROM tally WHERE id = ?", values![&lease.id])
            .await?;
        tx.commit().await?;
        let n = row.map_or(Ok(0), |r| r.int("n"))?;
        Ok(if n < 3 { Next::Again } else { Next::Done })
    }
}

async fn add(db: &Db, id: &str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute("INSERT INTO tally (id, n) VALUES (?, 0)", values![id])
        .await
        .unwrap();
    flow::mark(&mut tx, "tally", id).await.unwrap();
    tx.commit().await.unwrap();
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
        // Far below the scan: the wake and the back-off did it.
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
        // A worker that claims and dies.
        let dead = db::claim(&t.db, &["tally"], "dead", 8, 1_000_000)
            .await
            .unwrap();
        assert_eq!(dead.leases.len(), 1);
        let tasks = start(&t.db, 0);
        eventually("another continues", Duration::from_secs(10), || async {
            sum(&t.db).await == 3
        })
        .await;
        tasks.stop(Duration::from_secs(5)).await;
    }
}
