//! Guarantees of the façade, on every available database.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use db::{Migration, RunOutcome, Tx, values};
use std::time::Duration;

use kernel::Kind;
use testkit::{TestDb, every_database};

const TABLES: &[Migration] = &[Migration {
    name: "test-001-thing",
    sql: "CREATE TABLE thing (id varchar(36) NOT NULL PRIMARY KEY, name varchar(80), n bigint, yes boolean, raw {blob}, doc {text})",
}];

async fn claim(t: &TestDb, owner: &str, seconds: u64) -> Vec<db::Lease> {
    let duration = Duration::from_secs(seconds);
    db::claim_for(&t.db, &["thing"], owner, 8, duration)
        .await
        .unwrap()
}

async fn add(tx: &mut Tx, id: &str) -> kernel::Result<u64> {
    tx.execute(
        "INSERT INTO thing (id, name, n, yes, raw, doc) VALUES (?, ?, ?, ?, ?, ?)",
        values![
            id,
            Some("what's ?"),
            7_i64,
            true,
            vec![1_u8, 2],
            "{\"b\":1,\"a\":2}"
        ],
    )
    .await
}

#[tokio::test]
async fn a_row_round_trips() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        add(&mut tx, "one").await.unwrap();
        tx.commit().await.unwrap();
        let row =
            t.db.query_opt(
                "SELECT * FROM thing WHERE id = ? AND name <> '?'",
                values!["one"],
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            row.opt_text("name").unwrap().as_deref(),
            Some("what's ?"),
            "{}",
            t.name
        );
        assert_eq!(row.int("n").unwrap(), 7);
        assert!(row.flag("yes").unwrap());
        assert_eq!(row.blob("raw").unwrap(), vec![1, 2]);
        assert_eq!(row.json("doc").unwrap().to_string(), "{\"b\":1,\"a\":2}");
        assert!(row.text("missing").is_err());
    }
}

#[tokio::test]
async fn nulls_bind_to_any_type_and_a_second_row_of_one_id_exists_already() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        tx.execute(
            "INSERT INTO thing (id, name, n, yes, raw, doc) VALUES (?, ?, ?, ?, ?, ?)",
            values![
                "x",
                None::<String>,
                None::<i64>,
                None::<bool>,
                None::<Vec<u8>>,
                None::<String>
            ],
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        let again = add(&mut tx, "x").await.unwrap_err();
        assert_eq!(again.kind, Kind::AlreadyExists, "{}: {again}", t.name);
        assert!(
            !again.message.contains("thing"),
            "the public text shows no table"
        );
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        add(&mut tx, "gone").await.unwrap();
        drop(tx);
        let rows = t.db.query("SELECT id FROM thing", vec![]).await.unwrap();
        assert!(rows.is_empty(), "{}", t.name);
    }
}

#[tokio::test]
async fn migrations_run_once_and_two_starts_at_once_do_not_clash() {
    for t in every_database(TABLES).await {
        let (a, b) = tokio::join!(t.db.migrate(TABLES), t.db.migrate(TABLES));
        a.unwrap();
        b.unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_write() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        // The lease of the first worker ends at once: the second takes over the
        // key.
        let first = claim(&t, "a", 0).await.remove(0);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let second = claim(&t, "b", 60).await.remove(0);
        assert!(second.epoch > first.epoch);

        let refused = db::fenced!(t.db, first, |tx| add(tx, "one").await).unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict, "{}", t.name);
        db::complete(&t.db, &first, &RunOutcome::Gone)
            .await
            .unwrap();

        db::fenced!(t.db, second, |tx| add(tx, "one").await).unwrap();
        // A third worker finds nothing, because the key is leased.
        assert!(claim(&t, "c", 60).await.is_empty());
    }
}

#[tokio::test]
async fn a_key_marked_during_a_run_runs_again() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        let lease = claim(&t, "a", 60).await.remove(0);
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        db::complete(&t.db, &lease, &RunOutcome::Gone)
            .await
            .unwrap();
        let again = claim(&t, "a", 60).await;
        assert_eq!(again.len(), 1, "{}", t.name);
        // Clean now: nothing is due, and a later mark still finds the key.
        db::complete(&t.db, &again[0], &RunOutcome::Clean)
            .await
            .unwrap();
        assert!(claim(&t, "a", 60).await.is_empty());
        let next = db::next_due(&t.db, &["thing"]).await.unwrap();
        assert_eq!(next, None, "{}", t.name);
    }
}

#[tokio::test]
async fn a_failed_run_waits_for_its_time_and_keeps_its_error() {
    for t in every_database(TABLES).await {
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        let lease = claim(&t, "a", 60).await.remove(0);
        let hour = Duration::from_secs(3600);
        db::complete(&t.db, &lease, &RunOutcome::Failed(hour, "no engine".into()))
            .await
            .unwrap();
        assert!(claim(&t, "a", 60).await.is_empty());
        let next = db::next_due(&t.db, &["thing"]).await.unwrap().unwrap();
        assert!(
            next <= hour && next > hour - Duration::from_secs(60),
            "{}: {next:?}",
            t.name
        );
        // An event does not shorten the backoff, a user operation does.
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        assert!(claim(&t, "a", 60).await.is_empty(), "{}", t.name);
        let row =
            t.db.query_opt(
                "SELECT attempts, last_error FROM flow_key WHERE id = ?",
                values!["one"],
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.int("attempts").unwrap(), 1);
        assert_eq!(
            row.opt_text("last_error").unwrap().as_deref(),
            Some("no engine")
        );
        let mut tx = t.db.begin().await.unwrap();
        db::mark_now(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        let lease = claim(&t, "a", 60).await.remove(0);
        assert_eq!(lease.attempts, 0, "{}", t.name);
        // A user marked it during the failing run: it runs again at once.
        let mut tx = t.db.begin().await.unwrap();
        db::mark_now(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        db::complete(&t.db, &lease, &RunOutcome::Failed(hour, "again".into()))
            .await
            .unwrap();
        assert_eq!(claim(&t, "a", 60).await.len(), 1, "{}", t.name);
    }
}

#[tokio::test]
async fn a_commit_wakes_waiters_in_all_processes() {
    for t in every_database(TABLES).await {
        let other = db::Db::connect(&t.url).await.unwrap();
        let mut here = t.db.wakes().subscribe();
        let mut there = other.wakes().subscribe();
        let mut tx = t.db.begin().await.unwrap();
        db::mark(&mut tx, "thing", "one").await.unwrap();
        tx.commit().await.unwrap();
        let limit = std::time::Duration::from_secs(5);
        tokio::time::timeout(limit, here.changed())
            .await
            .unwrap()
            .unwrap();
        if t.name == "postgres" {
            tokio::time::timeout(limit, there.changed())
                .await
                .unwrap()
                .unwrap();
        }
    }
}
