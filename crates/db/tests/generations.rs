//! Late calls are refused, aborted transactions repeated, and lost answers
//! resolved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use db::{DatabaseFaults, Point, Safeguards, values};
use kernel::{Error, Kind, Result};
use testkit::every_database;

const TABLES: &[db::Migration] = &[db::Migration {
    name: "test-001-pair",
    sql: "CREATE TABLE pair (id varchar(36) NOT NULL PRIMARY KEY, n bigint NOT NULL)",
}];

#[tokio::test]
async fn an_older_generation_is_refused_and_what_was_removed_stays_removed() {
    for t in every_database(&[]).await {
        let check_generation = async |generation| {
            db::write!(t.db, |tx| db::check_generation(
                tx, "stack", "s", generation
            )
            .await)
        };
        check_generation(Some(3)).await.unwrap();
        check_generation(Some(3)).await.unwrap();
        check_generation(Some(5)).await.unwrap();
        let late = check_generation(Some(4)).await.unwrap_err();
        assert_eq!(late.kind, Kind::Conflict, "{}: {late}", t.name);
        // A user has no generation.
        check_generation(None).await.unwrap();
        let record_tombstone = async |id: &'static str, generation| {
            db::write!(t.db, |tx| db::record_tombstone(tx, "stack", id, generation)
                .await)
        };
        assert_eq!(
            record_tombstone("s", Some(4)).await.unwrap_err().kind,
            Kind::Conflict
        );
        record_tombstone("s", Some(6)).await.unwrap();
        record_tombstone("s", Some(6)).await.unwrap();
        assert_eq!(
            check_generation(Some(7)).await.unwrap_err().kind,
            Kind::Conflict
        );
        // Its creation is still in progress when it is removed.
        record_tombstone("never seen", Some(1)).await.unwrap();
        let created = db::write!(t.db, |tx| db::check_generation(
            tx,
            "stack",
            "never seen",
            Some(0)
        )
        .await);
        assert_eq!(created.unwrap_err().kind, Kind::Conflict, "{}", t.name);
    }
}

#[tokio::test]
async fn two_first_calls_for_one_object_at_once_are_both_admitted() {
    for t in every_database(&[]).await {
        let call = || async {
            db::write!(t.db, |tx| db::check_generation(tx, "stack", "s", Some(1))
                .await)
        };
        let (a, b, c) = tokio::join!(call(), call(), call());
        a.unwrap();
        b.unwrap();
        c.unwrap();
    }
}

/// Two transactions that lock two rows in opposite order deadlock; both succeed
/// eventually.
#[tokio::test]
async fn a_deadlock_is_repeated_as_a_whole_transaction() {
    for t in every_database(TABLES).await {
        for id in ["a", "b"] {
            db::write!(t.db, |tx| {
                tx.execute("INSERT INTO pair (id, n) VALUES (?, 0)", values![id])
                    .await
            })
            .unwrap();
        }
        let both = async |first: &'static str, second: &'static str| {
            db::write!(t.db, |tx| {
                let add = "UPDATE pair SET n = n + 1 WHERE id = ?";
                tx.execute(add, values![first]).await?;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                tx.execute(add, values![second]).await
            })
        };
        let (x, y) = tokio::join!(both("a", "b"), both("b", "a"));
        x.unwrap();
        y.unwrap();
        let rows = t.db.query("SELECT n FROM pair", vec![]).await.unwrap();
        let sum: i64 = rows.iter().map(|r| r.int("n").unwrap()).sum();
        assert_eq!(sum, 4, "{}", t.name);
        if t.name != "sqlite" {
            assert!(t.db.retries() >= 1, "{} did not deadlock", t.name);
        }
    }
}

/// Fails a number of commits, before or after they took place.
struct FailingCommits {
    before: AtomicUsize,
    after: AtomicUsize,
}

#[async_trait]
impl DatabaseFaults for FailingCommits {
    async fn at(&self, point: Point<'_>) -> Result<()> {
        let left = match point {
            Point::Commit => &self.before,
            Point::Committed => &self.after,
            _ => return Ok(()),
        };
        if left.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        left.fetch_sub(1, Ordering::SeqCst);
        Err(match point {
            Point::Commit => Error::new(Kind::Aborted, "deadlock"),
            _ => Error::unavailable("the connection is gone"),
        })
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_by_its_receipt() {
    let t = testkit::TestDb::sqlite(TABLES).await;
    let unlucky = |before, after| {
        t.db.for_simulated_server(
            Arc::new(FailingCommits {
                before: AtomicUsize::new(before),
                after: AtomicUsize::new(after),
            }),
            Safeguards::default(),
        )
    };
    let insert = async |db: &db::Db, id: &'static str, receipt| {
        db::write!(db, |tx| {
            if receipt {
                tx.write_receipt().await?;
            }
            tx.execute("INSERT INTO pair (id, n) VALUES (?, 0)", values![id])
                .await
        })
    };
    insert(&unlucky(2, 0), "aborted twice", false)
        .await
        .unwrap();
    insert(&unlucky(1, 1), "found", true).await.unwrap();
    let unknown = insert(&unlucky(0, 1), "unknown", false).await.unwrap_err();
    assert_eq!(unknown.kind, Kind::OutcomeUnknown);
    let rows = t.db.query("SELECT id FROM pair", vec![]).await.unwrap();
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn a_database_of_a_release_that_is_too_new_is_refused() {
    for t in every_database(TABLES).await {
        // The next release shares the database with this one …
        t.db.migrate_as(TABLES, db::SCHEMA + 1, db::SCHEMA)
            .await
            .unwrap();
        t.db.migrate(TABLES).await.unwrap();
        t.db.check_schema().await.unwrap();
        // … the release after it does not.
        t.db.migrate_as(TABLES, db::SCHEMA + 2, db::SCHEMA + 1)
            .await
            .unwrap();
        let refused = t.db.migrate(TABLES).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Precondition, "{}", t.name);
        assert!(refused.message.contains("newer release"), "{refused}");
        // A server that runs meanwhile writes nothing after its next check.
        t.db.check_schema().await.unwrap();
        let insert = "INSERT INTO pair (id, n) VALUES ('late', 0)";
        let late = async || db::write!(t.db, |tx| tx.execute(insert, values![]).await);
        let refused = late().await.unwrap_err();
        let unavailable = matches!(refused.kind, Kind::Unavailable { .. });
        assert!(unavailable, "{}: {refused}", t.name);
        assert!(refused.message.contains("newer release"), "{refused}");
        let rows = t.db.query("SELECT id FROM pair", vec![]).await.unwrap();
        assert!(rows.is_empty(), "{}", t.name);
    }
}
