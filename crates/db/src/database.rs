//! The handle to a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kernel::{Error, Result, clock};

use crate::fault::{DatabaseFaults, Point, Safeguards};
use crate::pools::Pools;
use crate::schema::SCHEMA;
use crate::sqlite::Sqlite;
use crate::wake::WokenKeys;
use crate::{Dialect, Row, Value, Wakes, notify, row};

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
        let pools = Pools::open(url).await?;
        let db = Self::with_pools(pools);
        db.align_clock().await?;
        if let Pools::Postgres { work, leases } = &db.pools {
            notify::listen(work, leases, &db.wakes).await?;
        }
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
        self.pools.dialect()
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

    fn delivers_notifications(&self) -> bool {
        self.database_faults
            .as_ref()
            .is_none_or(|i| i.delivers_notification())
    }

    /// Notifies all waiters of the keys that a transaction wrote, on this and
    /// other servers.
    pub(crate) fn announce(&self, woken: WokenKeys) {
        self.wakes.announce(woken, || self.delivers_notifications());
    }

    /// Runs a SELECT outside of a transaction.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer, otherwise `Internal`.
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

    /// Like [`Db::query`], but returns only the first row.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn query_opt(&self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// Like [`Db::query`], over the connections for leases.
    pub(crate) async fn query_leases(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        match &self.pools {
            Pools::Sqlite(_) => self.query(sql, args).await,
            Pools::Postgres { leases, .. } => row::pg_all(leases, sql, args).await,
            Pools::Mysql { leases, .. } => row::mysql_all(leases, sql, args).await,
        }
    }

    /// A handle whose transactions use the connections for leases.
    pub(crate) fn for_leases(&self) -> Self {
        Self {
            pools: self.pools.for_leases(),
            ..self.clone()
        }
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
        let before = clock::now();
        let rows = self
            .query_leases(&format!("SELECT {} AS now", self.now_sql()), vec![])
            .await?;
        let after = clock::now();
        if let Some(row) = rows.first() {
            clock::align(before, row.time("now")?, after);
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
            tracing::error!(error = %e, "this server has stopped writing");
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
