//! Opening a database by its URL.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kernel::{Error, Result, clock};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::fault::{DatabaseFaults, Point, Safeguards};
use crate::sqlite::Sqlite;
use crate::{Row, SCHEMA, Tx, Value, Wakes, row};

/// The database behind the façade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

/// Connection pools. Leases are renewed over separate connections, so that a
/// busy pool never costs a lease.
#[derive(Clone)]
pub(crate) enum Pools {
    Sqlite(Arc<Sqlite>),
    Postgres { work: PgPool, leases: PgPool },
    Mysql { work: MySqlPool, leases: MySqlPool },
}

/// Number of prepared statements that a connection caches: all statements of
/// the product.
const STATEMENTS: usize = 512;
/// PostgreSQL and MariaDB settings that end an idle transaction after ten
/// seconds, so that a suspended server does not hold locks for longer.
const IDLE_TRANSACTION: &str = "10s";
const IDLE_TRANSACTION_SQL: &str = "SET SESSION idle_transaction_timeout = 10";
/// Connections for work.
const WORK: u32 = 16;
/// Connections for the renewal of leases and for notifications.
const LEASES: u32 = 2;

/// Counters of a database handle since its start.
#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    commits: AtomicU64,
    retries: AtomicU64,
}

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub(crate) pools: Pools,
    pub(crate) wakes: Wakes,
    counts: Arc<Counts>,
    database_faults: Option<Arc<dyn DatabaseFaults>>,
    safeguards: Safeguards,
    /// The schema that the database requires after a migration by a newer
    /// release; 0: the schema of this release is sufficient.
    outdated: Arc<AtomicI64>,
}

impl Db {
    /// Opens `sqlite:PATH`, `postgres://…` or `mysql://…`.
    ///
    /// # Errors
    /// `Invalid` for another scheme, `Unavailable` if the database does not
    /// answer.
    pub async fn connect(url: &str) -> Result<Self> {
        let pools = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.trim_start_matches("//");
            Pools::Sqlite(Arc::new(Sqlite::open(path, true)?))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|e| bad_url(url, &e))?
                .statement_cache_capacity(STATEMENTS)
                .options([("idle_in_transaction_session_timeout", IDLE_TRANSACTION)]);
            let pool = |size| PgPoolOptions::new().max_connections(size);
            Pools::Postgres {
                work: pool(WORK)
                    .connect_with(options.clone())
                    .await
                    .map_err(unreachable)?,
                leases: pool(LEASES).connect_lazy_with(options),
            }
        } else if url.starts_with("mysql://") || url.starts_with("mariadb://") {
            let url = url.replacen("mariadb://", "mysql://", 1);
            let options = MySqlConnectOptions::from_str(&url)
                .map_err(|e| bad_url(&url, &e))?
                .statement_cache_capacity(STATEMENTS);
            Pools::Mysql {
                work: mysql_pool(WORK)
                    .connect_with(options.clone())
                    .await
                    .map_err(unreachable)?,
                leases: mysql_pool(LEASES).connect_lazy_with(options),
            }
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(Error::invalid(
                "database",
                format!(
                    "database: unknown scheme '{scheme}'; use sqlite:PATH, postgres:// or mysql://"
                ),
            ));
        };
        let db = Self::with_pools(pools);
        db.align_clock().await?;
        db.listen().await?;
        Ok(db)
    }

    /// Opens a SQLite file (or `:memory:`) that need not survive a power
    /// failure.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be opened.
    pub fn open_volatile(path: &str) -> Result<Self> {
        Ok(Self::with_pools(Pools::Sqlite(Arc::new(Sqlite::open(
            path, false,
        )?))))
    }

    fn with_pools(pools: Pools) -> Self {
        Self {
            pools,
            wakes: Wakes::default(),
            counts: Arc::default(),
            database_faults: None,
            safeguards: Safeguards::default(),
            outdated: Arc::default(),
        }
    }

    /// Returns the handle of another simulated server to the same database,
    /// with separate notifications (which receive the commits of all servers)
    /// and separate faults.
    #[must_use]
    pub fn for_simulated_server(
        &self,
        database_faults: Arc<dyn DatabaseFaults>,
        safeguards: Safeguards,
    ) -> Self {
        Self {
            pools: self.pools.clone(),
            wakes: self.wakes.for_simulated_server(),
            counts: Arc::default(),
            database_faults: Some(database_faults),
            safeguards,
            outdated: Arc::default(),
        }
    }

    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite(_) => Dialect::Sqlite,
            Pools::Postgres { .. } => Dialect::Postgres,
            Pools::Mysql { .. } => Dialect::Mysql,
        }
    }

    /// Notifications about commits; see [`Wakes`].
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// The enabled safeguards: all, except in simulations.
    #[must_use]
    pub fn safeguards(&self) -> Safeguards {
        self.safeguards
    }

    /// Statements sent since the start.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.counts.statements.load(Ordering::Relaxed)
    }

    /// Transactions committed since the start.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.counts.commits.load(Ordering::Relaxed)
    }

    /// Number of transactions repeated since the start because the database
    /// aborted them.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.counts.retries.load(Ordering::Relaxed)
    }

    pub(crate) fn count_commit(&self) {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.counts.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) async fn point(&self, point: Point<'_>) -> Result<()> {
        match &self.database_faults {
            Some(database_faults) => database_faults.at(point).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn statement(&self, sql: &str) -> Result<()> {
        self.counts.statements.fetch_add(1, Ordering::Relaxed);
        self.point(Point::Statement(sql)).await
    }

    pub(crate) fn delivers_notifications(&self) -> bool {
        self.database_faults
            .as_ref()
            .is_none_or(|i| i.delivers_notification())
    }

    /// Runs a SELECT outside of a transaction.
    ///
    /// `Unavailable` if the database does not answer, otherwise `Internal`.
    /// `Unavailable` where the database does not answer, else `Internal`.
    pub async fn query(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.counts.statements.fetch_add(1, Ordering::Relaxed);
        self.point(Point::Read(sql)).await?;
        match &self.pools {
            Pools::Sqlite(sqlite) => {
                let rows = sqlite.read(sql, &args).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Pools::Postgres { work, .. } => row::pg_all(work, sql, args).await,
            Pools::Mysql { work, .. } => row::mysql_all(work, sql, args).await,
        }
    }

    /// As [`Db::query`], the first row.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn query_opt(&self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// As [`Db::query`] over the connections for leases.
    pub(crate) async fn query_leases(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        match &self.pools {
            Pools::Sqlite(_) => self.query(sql, args).await,
            Pools::Postgres { leases, .. } => row::pg_all(leases, sql, args).await,
            Pools::Mysql { leases, .. } => row::mysql_all(leases, sql, args).await,
        }
    }

    /// A handle whose transactions use the connections for leases.
    pub(crate) fn for_leases(&self) -> Self {
        let pools = match &self.pools {
            Pools::Sqlite(sqlite) => Pools::Sqlite(sqlite.clone()),
            Pools::Postgres { leases, .. } => Pools::Postgres {
                work: leases.clone(),
                leases: leases.clone(),
            },
            Pools::Mysql { leases, .. } => Pools::Mysql {
                work: leases.clone(),
                leases: leases.clone(),
            },
        };
        Self {
            pools,
            ..self.clone()
        }
    }

    /// Opens a write transaction. Use [`crate::write!`], which repeats aborted
    /// transactions. A transaction that is dropped without a commit is rolled
    /// back.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn begin(&self) -> Result<Tx> {
        Tx::begin(self).await
    }

    /// The SQL expression of the database time, microseconds.
    #[must_use]
    pub(crate) fn now_sql(&self) -> &'static str {
        match self.dialect() {
            Dialect::Sqlite => "now_micros()",
            Dialect::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)",
            Dialect::Mysql => "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)",
        }
    }

    /// Aligns the clock of this process with the database, so that times
    /// written by several servers are comparable.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn align_clock(&self) -> Result<()> {
        let before = clock::now_micros();
        let rows = self
            .query_leases(&format!("SELECT {} AS now", self.now_sql()), vec![])
            .await?;
        let after = clock::now_micros();
        if let Some(row) = rows.first() {
            clock::align(before, row.int("now")?, after);
        }
        Ok(())
    }

    /// Checks whether a newer release has migrated the database in a way that
    /// this release cannot share it. If so, no transaction can begin any more.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn check_schema(&self) -> Result<()> {
        let sql = "SELECT shared_with FROM schema_release WHERE id = 1";
        let rows = self.query_leases(sql, vec![]).await?;
        let needs = rows.first().map(|r| r.int("shared_with")).transpose()?;
        let needs = needs.filter(|needs| *needs > SCHEMA).unwrap_or(0);
        if self.outdated.swap(needs, Ordering::Relaxed) != needs
            && let Err(e) = self.check_writable()
        {
            tracing::error!(error = %e, "this server writes nothing any more");
        }
        Ok(())
    }

    /// # Errors
    /// `Unavailable` after an incompatible migration by a newer release.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.outdated.load(Ordering::Relaxed) {
            0 => Ok(()),
            needs => Err(Error::unavailable(format!(
                "A newer release has migrated the database, which needs servers of schema {needs} \
                 or later now; this server has schema {SCHEMA}. Start the newer release instead."
            ))),
        }
    }
}

fn mysql_pool(size: u32) -> MySqlPoolOptions {
    MySqlPoolOptions::new()
        .max_connections(size)
        .after_connect(|c, _| {
            Box::pin(async move {
                for setting in [
                    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                    IDLE_TRANSACTION_SQL,
                ] {
                    sqlx::query(setting).execute(&mut *c).await?;
                }
                Ok(())
            })
        })
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
