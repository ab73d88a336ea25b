//! Databases for tests.

use std::future::Future;
use std::time::{Duration, Instant};

use db::{Db, Migration};
use tempfile::TempDir;

use crate::{MariaDb, Postgres};

/// A database with its owned resources.
pub struct TestDb {
    pub name: &'static str,
    pub db: Db,
    pub url: String,
    _dir: Option<TempDir>,
    _server: Server,
}

/// Keeps the server running while its database is used.
enum Server {
    None,
    Postgres(#[allow(dead_code, reason = "stopped when dropped")] Postgres),
    MariaDb(#[allow(dead_code, reason = "stopped when dropped")] MariaDb),
}

impl TestDb {
    /// A fresh SQLite file with these migrations.
    pub async fn sqlite(migrations: &[Migration]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let url = format!("sqlite:{}", dir.path().join("test.sqlite").display());
        let db = Db::connect(&url).await.expect("SQLite opens");
        db.migrate(migrations)
            .await
            .expect("migrations run on SQLite");
        Self {
            name: "sqlite",
            db,
            url,
            _dir: Some(dir),
            _server: Server::None,
        }
    }

    /// A private PostgreSQL with these migrations; `None` if PostgreSQL is not
    /// installed.
    pub async fn postgres(migrations: &[Migration]) -> Option<Self> {
        let server = Postgres::start()?;
        let url = server.url();
        let db = Db::connect(&url).await.expect("PostgreSQL answers");
        db.migrate(migrations)
            .await
            .expect("migrations run on PostgreSQL");
        Some(Self {
            name: "postgres",
            db,
            url,
            _dir: None,
            _server: Server::Postgres(server),
        })
    }

    /// A private MariaDB with these migrations; `None` if MariaDB is not
    /// installed.
    pub async fn mariadb(migrations: &[Migration]) -> Option<Self> {
        let server = MariaDb::start()?;
        let url = server.url();
        let db = Db::connect(&url).await.expect("MariaDB answers");
        db.migrate(migrations)
            .await
            .expect("migrations run on MariaDB");
        Some(Self {
            name: "mariadb",
            db,
            url,
            _dir: None,
            _server: Server::MariaDb(server),
        })
    }
}

/// Each available database.
pub async fn every_database(migrations: &[Migration]) -> Vec<TestDb> {
    let mut all = vec![TestDb::sqlite(migrations).await];
    all.extend(TestDb::postgres(migrations).await);
    all.extend(TestDb::mariadb(migrations).await);
    all
}

/// Waits until the condition holds; fails with `what` after `limit`.
pub async fn eventually<F, R>(what: &str, limit: Duration, mut holds: F)
where
    F: FnMut() -> R,
    R: Future<Output = bool>,
{
    let end = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
