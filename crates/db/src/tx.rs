//! Write transactions.

use kernel::{Error, Kind, Result, ids};
use sqlx::{MySql, Postgres, Transaction};

use crate::fault::Point;
use crate::pools::Pools;
use crate::sqlite::SqliteTx;
use crate::wake::WokenKeys;
use crate::{Db, Row, Value, row};

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
    pub(crate) receipt: Option<String>,
}

impl Db {
    /// Opens a write transaction. Use [`crate::write!`], which repeats aborted
    /// transactions. A transaction that is dropped without a commit is rolled
    /// back.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer.
    pub async fn begin(&self) -> Result<Tx> {
        Tx::begin(self).await
    }
}

impl Tx {
    async fn begin(db: &Db) -> Result<Self> {
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

    /// Like [`Tx::query`], but returns only the first row.
    ///
    /// # Errors
    /// Same errors as [`Tx::query`].
    pub async fn query_opt(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// Like [`Tx::query_opt`], and locks the row until the end of the
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

    /// Makes this transaction exclusive among all transactions that call this
    /// function, on any server: waits until no other one is open, and delays the
    /// next one until this one has ended. Needed to check rows that another
    /// transaction may be about to insert. Call it first, because a transaction that
    /// holds other locks could deadlock.
    ///
    /// # Errors
    /// Same errors as [`Tx::query`].
    pub async fn serialize(&mut self) -> Result<()> {
        // Everything else reads this row without a lock, except a migration.
        let row = "SELECT id FROM schema_release WHERE id = 1";
        self.lock_opt(row, Vec::new()).await.map(|_| ())
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

    /// Notifies waiters of this key after the commit, without marking it dirty.
    pub fn wake(&mut self, kind: &str, id: &str) {
        self.woken.add(kind, id, false);
    }

    pub(crate) fn set_events(&mut self) {
        self.events = true;
    }

    /// Inserts a row by which [`crate::write!`] detects whether the transaction
    /// was committed if the answer of the commit was lost. User operations need
    /// it, because they cannot check this as easily as a reconciler.
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
