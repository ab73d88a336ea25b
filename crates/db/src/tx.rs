//! Write transactions: plain ones for operations, fenced ones for workers.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use kernel::{Error, Kind, Result, ids};
use sqlx::{MySql, Postgres, Transaction};

use crate::connect::Pools;
use crate::fault::Point;
use crate::sqlite::SqliteTx;
use crate::wake::WokenKeys;
use crate::{Db, Lease, Row, Value, row};

/// Maximum number of attempts of an aborted transaction.
const TRIES: u32 = 12;
/// Delay before the first repeat; doubles up to 32 times this value.
const PAUSE: Duration = Duration::from_millis(4);

enum Inner {
    Sqlite(SqliteTx),
    Postgres(Transaction<'static, Postgres>),
    Mysql(Transaction<'static, MySql>),
}

/// A write transaction; rolled back when dropped.
pub struct Tx {
    inner: Inner,
    db: Db,
    /// Keys that the commit notifies, and whether events were written.
    pub(crate) woken: WokenKeys,
    events: bool,
    receipt: Option<String>,
}

impl Tx {
    pub(crate) async fn begin(db: &Db) -> Result<Self> {
        db.check_writable()?;
        db.point(Point::Begin).await?;
        let inner = match &db.pools {
            Pools::Sqlite(sqlite) => Inner::Sqlite(sqlite.begin().await?),
            Pools::Postgres { work, .. } => {
                Inner::Postgres(work.begin().await.map_err(|e| row::failed("BEGIN", e))?)
            }
            Pools::Mysql { work, .. } => {
                Inner::Mysql(work.begin().await.map_err(|e| row::failed("BEGIN", e))?)
            }
        };
        Ok(Self {
            inner,
            db: db.clone(),
            woken: WokenKeys::default(),
            events: false,
            receipt: None,
        })
    }

    /// Runs a SELECT inside the transaction.
    ///
    /// # Errors
    /// `Aborted`, `Unavailable` or `Internal`.
    pub async fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.db.statement(sql).await?;
        match &mut self.inner {
            Inner::Sqlite(t) => Ok(t.query(sql, &args)?.into_iter().map(Row::Sqlite).collect()),
            Inner::Postgres(t) => row::pg_all(&mut **t, sql, args).await,
            Inner::Mysql(t) => row::mysql_all(&mut **t, sql, args).await,
        }
    }

    /// As [`Tx::query`], the first row.
    ///
    /// # Errors
    /// Same errors as [`Tx::query`].
    pub async fn query_opt(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// As [`Tx::query_opt`], and locks the row until the end of the
    /// transaction. On SQLite a write transaction is exclusive from its start.
    ///
    /// # Errors
    /// Same errors as [`Tx::query`].
    pub async fn lock_opt(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        if self.dialect() == crate::Dialect::Sqlite {
            return self.query_opt(sql, args).await;
        }
        self.query_opt(&format!("{sql} FOR UPDATE"), args).await
    }

    /// Runs a statement and returns the number of matched rows. Never branch on
    /// the count of an upsert: MariaDB returns 2.
    ///
    /// # Errors
    /// `AlreadyExists` for a unique violation, otherwise as [`Tx::query`].
    pub async fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        self.db.statement(sql).await?;
        match &mut self.inner {
            Inner::Sqlite(t) => t.execute(sql, &args),
            Inner::Postgres(t) => row::pg_exec(&mut **t, sql, args).await,
            Inner::Mysql(t) => row::mysql_exec(&mut **t, sql, args).await,
        }
    }

    /// Fences this transaction by a lease; fails with `Conflict` if another
    /// worker has taken the key.
    async fn fence(&mut self, lease: &Lease) -> Result<()> {
        if !self.db.safeguards().fence {
            return Ok(());
        }
        let held = self
            .lock_opt(
                "SELECT epoch FROM flow_key WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?",
                crate::values![&lease.kind, &lease.id, &lease.owner, lease.epoch],
            )
            .await?;
        if held.is_some() {
            return Ok(());
        }
        lease.validity().end();
        Err(Error::conflict(format!(
            "The lease on {} {} was lost.",
            lease.kind, lease.id
        )))
    }

    /// Notifies waiters of this key after the commit, without marking it dirty.
    pub fn wake(&mut self, kind: &str, id: &str) {
        self.woken.add(kind, id, false);
    }

    pub(crate) fn set_events(&mut self) {
        self.events = true;
    }

    /// Inserts a row by which [`crate::write!`] detects whether the transaction
    /// was committed if the answer of the commit was lost. For user operations,
    /// which cannot check as easily as a reconciler.
    ///
    /// # Errors
    /// Same errors as [`Tx::execute`].
    pub async fn write_receipt(&mut self) -> Result<()> {
        let id = ids::uuid();
        let now = self.db.now_sql();
        self.execute(
            &format!("INSERT INTO commit_receipt (id, at) VALUES (?, {now})"),
            crate::values![&id],
        )
        .await?;
        self.receipt = Some(id);
        Ok(())
    }

    #[must_use]
    pub fn dialect(&self) -> crate::Dialect {
        self.db.dialect()
    }

    /// The database of the transaction.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Commits, then notifies waiters of the written keys.
    ///
    /// # Errors
    /// `Aborted`, `Unavailable` or `Internal`: nothing was written.
    /// `OutcomeUnknown`: the transaction may be committed or not.
    pub async fn commit(mut self) -> Result<()> {
        if self.events {
            // Dispatchers need no more precise notification.
            self.wake("outbox", "");
        }
        self.db.point(Point::Commit).await?;
        match self.inner {
            Inner::Sqlite(t) => {
                if let Pools::Sqlite(sqlite) = &self.db.pools {
                    t.commit(sqlite)?;
                    sqlite.flushed().await?;
                }
            }
            Inner::Postgres(t) => t.commit().await.map_err(row::failed_commit)?,
            Inner::Mysql(t) => t.commit().await.map_err(row::failed_commit)?,
        }
        self.db.count_commit();
        self.db.point(Point::Committed).await.map_err(|e| {
            let text = "The answer of the database was lost.";
            Error::new(Kind::OutcomeUnknown, text).context(e)
        })?;
        self.db.announce(self.woken);
        Ok(())
    }
}

/// A transaction of a worker. It can commit only while the lease is held,
/// because its first statement locks the row of the lease. Writes to columns of
/// workers require this type.
pub struct Fenced {
    tx: Tx,
    lease: Lease,
}

impl Fenced {
    /// Begins a transaction under a lease; use [`crate::fenced!`].
    ///
    /// # Errors
    /// `Conflict` if another worker has taken the key.
    pub async fn begin(db: &Db, lease: &Lease) -> Result<Self> {
        let mut tx = Tx::begin(db).await?;
        tx.fence(lease).await?;
        Ok(Self {
            tx,
            lease: lease.clone(),
        })
    }

    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// As [`Tx::commit`].
    ///
    /// # Errors
    /// Same errors as [`Tx::commit`].
    pub async fn commit(self) -> Result<()> {
        let (db, lease) = (self.tx.db.clone(), self.lease);
        self.tx.commit().await?;
        db.point(Point::Fenced {
            kind: &lease.kind,
            id: &lease.id,
            epoch: lease.epoch,
        })
        .await
    }
}

impl Deref for Fenced {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Fenced {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

/// Counts attempts of a transaction; used by [`crate::write!`] and
/// [`crate::fenced!`].
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Returns whether a failed transaction should be repeated, after a delay.
    pub async fn should_retry(&mut self, db: &Db, e: &Error) -> bool {
        if e.kind != Kind::Aborted || self.0 >= TRIES || !db.safeguards().retry {
            return false;
        }
        let doubled = PAUSE.saturating_mul(1 << self.0.min(5));
        self.0 += 1;
        db.count_retry();
        tokio::time::sleep(doubled.mul_f64(0.5 + ids::jitter())).await;
        true
    }
}

/// Commits a transaction whose body succeeded; used by [`crate::write!`]. An
/// unknown outcome is resolved by the receipt, if there is one.
///
/// # Errors
/// As [`Tx::commit`]; `Aborted` if the receipt shows that nothing was written.
pub async fn commit_with_receipt(db: &Db, tx: Tx) -> Result<()> {
    let receipt = tx.receipt.clone();
    let woken = tx.woken.clone();
    let unknown = match (tx.commit().await, receipt) {
        (Err(e), Some(receipt)) if e.kind == Kind::OutcomeUnknown => (e, receipt),
        (done, _) => return done,
    };
    let (error, receipt) = unknown;
    for attempt in 0..TRIES {
        let found = db
            .query_opt(
                "SELECT id FROM commit_receipt WHERE id = ?",
                crate::values![&receipt],
            )
            .await;
        match found {
            Ok(Some(_)) => {
                db.announce(woken);
                return Ok(());
            }
            Ok(None) => return Err(Error::new(Kind::Aborted, error.message)),
            Err(_) => {
                let pause = PAUSE.saturating_mul(1 << attempt.min(5));
                tokio::time::sleep(pause.saturating_mul(4)).await;
            }
        }
    }
    Err(error)
}

/// Runs a write transaction and repeats it as a whole if the database aborts it
/// (deadlock, serialization failure). The body is an async block: it may use
/// `?`, may run several times, and must have no effect other than SQL.
///
/// ```ignore
/// db::write!(db, |tx| {
///     db::mark_now(tx, KIND, id).await?;
///     table::set_name(tx, id, name).await
/// })
/// ```
#[macro_export]
macro_rules! write {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let mut attempts = $crate::Attempts::default();
        loop {
            let outcome: ::kernel::Result<_> = async {
                let mut transaction = database.begin().await?;
                let value: ::kernel::Result<_> = {
                    let $tx: &mut $crate::Tx = &mut transaction;
                    async { $body }.await
                };
                let value = value?;
                $crate::commit_with_receipt(database, transaction).await?;
                Ok(value)
            }
            .await;
            match outcome {
                Err(e) if attempts.should_retry(database, &e).await => {}
                done => break done,
            }
        }
    }};
}

/// As [`crate::write!`] under a lease: `$tx` is a `&mut` [`Fenced`].
#[macro_export]
macro_rules! fenced {
    ($db:expr, $lease:expr, |$tx:ident| $body:expr) => {{
        let database: &$crate::Db = &$db;
        let lease: &$crate::Lease = &$lease;
        let mut attempts = $crate::Attempts::default();
        loop {
            let outcome: ::kernel::Result<_> = async {
                let mut transaction = $crate::Fenced::begin(database, lease).await?;
                let value: ::kernel::Result<_> = {
                    let $tx: &mut $crate::Fenced = &mut transaction;
                    async { $body }.await
                };
                let value = value?;
                transaction.commit().await?;
                Ok(value)
            }
            .await;
            match outcome {
                Err(e) if attempts.should_retry(database, &e).await => {}
                done => break done,
            }
        }
    }};
}
