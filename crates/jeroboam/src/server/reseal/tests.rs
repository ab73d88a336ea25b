//! Sealing again beside servers, and after a crash.

use db::values;
use pki::SealingKeys;

use super::*;
use crate::server::wiring;

struct Installation {
    of: testkit::TestDb,
    dir: tempfile::TempDir,
}

const RESOURCES: i64 = 130;

impl Installation {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for of in testkit::every_database(&wiring::migrations()).await {
            let dir = tempfile::tempdir().unwrap();
            all.push(Self { of, dir });
        }
        all
    }

    fn sealer(&self) -> Sealer {
        Sealer::open(self.dir.path()).unwrap()
    }

    fn keys(&self) -> SealingKeys {
        SealingKeys::open(self.dir.path()).unwrap()
    }

    /// Secrets of several tables, among them more than one batch.
    async fn fill(&self, sealer: &Sealer) {
        let signal = sealer.seal("orchestration", b"{}").unwrap();
        installation::check_keys(&self.of.db, sealer).await.unwrap();
        installation::installation(&self.of.db).await.unwrap();
        installation::listener(&self.of.db, sealer).await.unwrap();
        db::write!(self.of.db, |tx| {
            for n in 0..RESOURCES {
                let stack = format!("s{}", n % 7);
                tx.execute(
                    "INSERT INTO stack_signal (stack_id, handle, signal_id, status, reason, \
                     data_sealed, at) VALUES (?, 'h', ?, 'SUCCESS', '', ?, 0)",
                    values![&stack, format!("n{n}"), &signal],
                )
                .await?;
            }
            for n in 0..3_i64 {
                let id = format!("c{n}");
                let join = sealer.seal(&format!("cluster/{id}/join"), id.as_bytes())?;
                tx.execute(
                    "INSERT INTO magnum_swarm (cluster_id, join_sealed, observed) VALUES (?, ?, '')",
                    values![&id, Some(join)],
                )
                .await?;
            }
            let none: Option<String> = None;
            tx.execute(
                "INSERT INTO magnum_swarm (cluster_id, join_sealed, observed) VALUES ('c9', ?, '')",
                values![none],
            )
            .await
        })
        .unwrap();
    }

    async fn join(&self, sealer: &Sealer, id: &str) -> String {
        let sql = "SELECT join_sealed FROM magnum_swarm WHERE cluster_id = ?";
        let row = self.of.db.query_opt(sql, values![id]).await.unwrap();
        let text = row.unwrap().text("join_sealed").unwrap();
        let purpose = format!("cluster/{id}/join");
        sealer.unseal_text(&purpose, &text).unwrap().to_string()
    }
}

/// Texts: the signals, three join secrets, the listener.
const TEXTS: i64 = RESOURCES + 4;

#[tokio::test]
async fn secrets_are_sealed_again_beside_two_servers_and_the_old_key_can_go() {
    for w in Installation::all().await {
        let (first, second) = (w.sealer(), w.sealer());
        w.fill(&first).await;
        let old = w.keys().entries()[0].id.clone();
        let new = w.keys().promote().unwrap();
        assert_eq!(count(&w.of.db, &old).await.unwrap(), TEXTS, "{}", w.of.name);

        let sealed = reseal(&w.of.db, &first, |_| ()).await.unwrap();
        assert_eq!(sealed, u64::try_from(TEXTS).unwrap(), "{}", w.of.name);
        assert_eq!(count(&w.of.db, &old).await.unwrap(), 0);
        assert_eq!(count(&w.of.db, &new).await.unwrap(), TEXTS);
        assert_eq!(reseal(&w.of.db, &first, |_| ()).await.unwrap(), 0);
        for id in ["c0", "c1", "c2"] {
            assert_eq!(w.join(&second, id).await, id);
        }

        installation::check_keys_by_primary(&w.of.db, &second)
            .await
            .unwrap();
        w.keys().retire(&old).unwrap();
        let restarted = w.sealer();
        installation::check_keys(&w.of.db, &restarted)
            .await
            .unwrap();
        installation::listener(&w.of.db, &restarted).await.unwrap();
        assert_eq!(w.join(&restarted, "c1").await, "c1");
    }
}

#[tokio::test]
async fn an_interrupted_run_is_continued_and_newer_texts_are_kept() {
    for w in Installation::all().await {
        let server = w.sealer();
        w.fill(&server).await;
        let old = w.keys().entries()[0].id.clone();
        w.keys().promote().unwrap();
        // A page is read, and a server changes one of its rows before the batch
        // is written; then the command is killed.
        let columns = sealed_columns();
        let swarm = columns.iter().find(|c| c.table == "magnum_swarm").unwrap();
        let prefix = server.primary_prefix();
        let page = swarm.page(&w.of.db, (SEALED, &prefix), &[], 2).await;
        let page = page.unwrap();
        assert_eq!(page.len(), 2);
        let news = server.seal("cluster/c0/join", b"news").unwrap();
        db::write!(w.of.db, |tx| {
            tx.execute(
                "UPDATE magnum_swarm SET join_sealed = ? WHERE cluster_id = 'c0'",
                values![&news],
            )
            .await
        })
        .unwrap();
        let mut broken = Vec::new();
        let replaced = reseal_batch(&w.of.db, &server, swarm, &page, &mut broken);
        assert_eq!(replaced.await.unwrap(), 1, "{}", w.of.name);
        assert!(broken.is_empty());
        assert_eq!(count(&w.of.db, &old).await.unwrap(), TEXTS - 2);

        let command = w.sealer();
        let sealed = reseal(&w.of.db, &command, |_| ()).await.unwrap();
        assert_eq!(i64::try_from(sealed).unwrap(), TEXTS - 2);
        assert_eq!(count(&w.of.db, &old).await.unwrap(), 0);
        assert_eq!(w.join(&server, "c0").await, "news");
        assert_eq!(w.join(&server, "c1").await, "c1");
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_unsealed_is_named_and_stops_nothing() {
    let of = testkit::TestDb::sqlite(&wiring::migrations()).await;
    let dir = tempfile::tempdir().unwrap();
    let w = Installation { of, dir };
    let server = w.sealer();
    w.fill(&server).await;
    let old = w.keys().entries()[0].id.clone();
    w.keys().promote().unwrap();
    db::write!(w.of.db, |tx| {
        let text = format!("jbs1.{old}.AAAA");
        let sql = "UPDATE magnum_swarm SET join_sealed = ? WHERE cluster_id = 'c1'";
        tx.execute(sql, values![&text]).await
    })
    .unwrap();
    let e = reseal(&w.of.db, &server, |_| ()).await.unwrap_err();
    let e = e.to_string();
    assert!(e.contains("magnum_swarm.join_sealed of c1"), "{e}");
    assert_eq!(count(&w.of.db, &old).await.unwrap(), 1);
}

/// The secrets of a column that is missing in the list could not be unsealed any more
/// after their key is retired.
#[tokio::test]
async fn all_columns_of_secrets_are_listed() {
    let of = testkit::TestDb::sqlite(&wiring::migrations()).await;
    let sql = "SELECT m.name AS of_table, c.name AS of_column FROM sqlite_master m \
               JOIN pragma_table_info(m.name) c WHERE m.type = 'table'";
    let named: Vec<(String, String)> = of
        .db
        .query(sql, vec![])
        .await
        .unwrap()
        .iter()
        .map(|r| (r.text("of_table").unwrap(), r.text("of_column").unwrap()))
        .filter(|(_, c)| c.ends_with("_sealed") || c.ends_with("_key"))
        .filter(|(t, c)| !matches!((t.as_str(), c.as_str()), ("keypair", "public_key")))
        .collect();
    let listed = sealed_columns();
    for (table, column) in named {
        let there = listed
            .iter()
            .any(|c| c.table == table && c.column == column);
        assert!(there, "{table}.{column}");
    }
    for column in listed {
        let text = column.page(&of.db, (SEALED, "x"), &[], 1).await.unwrap();
        assert!(text.is_empty());
    }
}
