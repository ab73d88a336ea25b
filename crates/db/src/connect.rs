//! Opening a database by its URL.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kernel::{Error, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::{Row, Tx, Value, Wakes, row};

/// Which database is behind the façade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

#[derive(Clone)]
pub(crate) enum Pools {
    /// One writer: SQLite has one write lock anyway, and waiting in our own
    /// queue is fairer than its busy handler.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
    Mysql(MySqlPool),
}

/// Prepared statements that a connection keeps: all that we have.
const STATEMENTS: usize = 512;

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub(crate) pools: Pools,
    pub(crate) wakes: Wakes,
    queries: Arc<AtomicU64>,
}

impl Db {
    /// Opens `sqlite:PATH`, `postgres://…` or `mysql://…`.
    ///
    /// # Errors
    /// `Invalid` for another scheme, `Unavailable` where it does not answer.
    pub async fn connect(url: &str) -> Result<Self> {
        let pools = if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite(path).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|e| bad_url(url, &e))?
                .statement_cache_capacity(STATEMENTS);
            let pool = PgPoolOptions::new().max_connections(16);
            Pools::Postgres(pool.connect_with(options).await.map_err(unreachable)?)
        } else if url.starts_with("mysql://") || url.starts_with("mariadb://") {
            let url = url.replacen("mariadb://", "mysql://", 1);
            let options = MySqlConnectOptions::from_str(&url)
                .map_err(|e| bad_url(&url, &e))?
                .statement_cache_capacity(STATEMENTS);
            let pool = MySqlPoolOptions::new()
                .max_connections(16)
                .after_connect(|c, _| {
                    Box::pin(async move {
                        sqlx::query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                            .execute(c)
                            .await
                            .map(|_| ())
                    })
                });
            Pools::Mysql(pool.connect_with(options).await.map_err(unreachable)?)
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(Error::invalid(
                "database",
                format!(
                    "database: unknown scheme '{scheme}'; use sqlite:PATH, postgres:// or mysql://"
                ),
            ));
        };
        let db = Self {
            pools,
            wakes: Wakes::default(),
            queries: Arc::default(),
        };
        db.listen().await?;
        Ok(db)
    }

    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
            Pools::Mysql(_) => Dialect::Mysql,
        }
    }

    /// What wakes the workers; see [`Wakes`].
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Statements sent since the start, for tests that count queries.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    pub(crate) fn count_query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a SELECT outside of a transaction.
    ///
    /// # Errors
    /// `Unavailable` where the database does not answer, else `Internal`.
    pub async fn query(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.count_query();
        match &self.pools {
            Pools::Sqlite { read, .. } => row::sqlite_all(read, sql, args).await,
            Pools::Postgres(p) => row::pg_all(p, sql, args).await,
            Pools::Mysql(p) => row::mysql_all(p, sql, args).await,
        }
    }

    /// As [`Db::query`], the first row.
    ///
    /// # Errors
    /// As [`Db::query`].
    pub async fn query_opt(&self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// Opens a write transaction. Dropped without commit it is rolled back.
    ///
    /// # Errors
    /// `Unavailable` where the database does not answer.
    pub async fn begin(&self) -> Result<Tx> {
        Tx::begin(self).await
    }
}

async fn sqlite(path: &str) -> Result<Pools> {
    let path = path.trim_start_matches("//");
    let memory = path.is_empty() || path == ":memory:";
    let base = if memory {
        SqliteConnectOptions::from_str("sqlite::memory:").map_err(Error::internal)?
    } else {
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
    };
    let options = base
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS)
        // Each row that does not fit is a switch between two threads.
        .row_buffer_size(1024)
        .busy_timeout(Duration::from_secs(10));
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options.clone())
        .await
        .map_err(unreachable)?;
    let read = if memory {
        write.clone()
    } else {
        SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await
            .map_err(unreachable)?
    };
    Ok(Pools::Sqlite { write, read })
}

fn bad_url(url: &str, e: &dyn std::fmt::Display) -> Error {
    let shown = url.split('@').next_back().unwrap_or_default();
    Error::invalid(
        "database",
        format!("database: '{shown}' is no valid URL: {e}"),
    )
}

fn unreachable(e: sqlx::Error) -> Error {
    Error::unavailable("The database does not answer.").context(e)
}
