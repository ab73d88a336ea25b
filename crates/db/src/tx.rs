//! A write transaction.

use kernel::{Error, Result};
use sqlx::{MySql, Postgres, Sqlite, Transaction};

use crate::connect::Pools;
use crate::wake::{self, Key};
use crate::{Db, Lease, Row, Value, row};

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
    Mysql(Transaction<'static, MySql>),
}

/// A write transaction; rolled back when dropped.
pub struct Tx {
    inner: Inner,
    db: Db,
    /// What a commit wakes, and whether it wrote events.
    woken: Vec<Key>,
    events: bool,
}

impl Tx {
    pub(crate) async fn begin(db: &Db) -> Result<Self> {
        let inner = match &db.pools {
            Pools::Sqlite { write, .. } => Inner::Sqlite(
                write
                    .begin_with("BEGIN IMMEDIATE")
                    .await
                    .map_err(|e| row::failed("BEGIN IMMEDIATE", e))?,
            ),
            Pools::Postgres(p) => {
                Inner::Postgres(p.begin().await.map_err(|e| row::failed("BEGIN", e))?)
            }
            Pools::Mysql(p) => Inner::Mysql(p.begin().await.map_err(|e| row::failed("BEGIN", e))?),
        };
        Ok(Self {
            inner,
            db: db.clone(),
            woken: Vec::new(),
            events: false,
        })
    }

    /// Runs a SELECT inside the transaction.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    pub async fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        self.db.count_query();
        match &mut self.inner {
            Inner::Sqlite(t) => row::sqlite_all(&mut **t, sql, args).await,
            Inner::Postgres(t) => row::pg_all(&mut **t, sql, args).await,
            Inner::Mysql(t) => row::mysql_all(&mut **t, sql, args).await,
        }
    }

    /// As [`Tx::query`], the first row.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn query_opt(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// As [`Tx::query_opt`], and keeps other writers off the row until the
    /// end. On SQLite a write transaction is alone from its begin.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn lock_opt(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        if self.dialect() == crate::Dialect::Sqlite {
            return self.query_opt(sql, args).await;
        }
        self.query_opt(&format!("{sql} FOR UPDATE"), args).await
    }

    /// Runs a statement; answers the number of matched rows. Never branch on
    /// the count of an upsert: MariaDB says 2.
    ///
    /// # Errors
    /// `AlreadyExists` for a unique violation, else as [`Tx::query`].
    pub async fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        self.db.count_query();
        match &mut self.inner {
            Inner::Sqlite(t) => row::sqlite_exec(&mut **t, sql, args).await,
            Inner::Postgres(t) => row::pg_exec(&mut **t, sql, args).await,
            Inner::Mysql(t) => row::mysql_exec(&mut **t, sql, args).await,
        }
    }

    /// Ties this transaction to a lease: it can only commit while the lease
    /// is still held, because the row of the lease is locked by this update.
    ///
    /// # Errors
    /// `Conflict` where another worker has taken the key.
    pub async fn fence(&mut self, lease: &Lease) -> Result<()> {
        let n = self
            .execute(
                "UPDATE flow_key SET epoch = epoch WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?",
                crate::values![&lease.kind, &lease.id, &lease.owner, lease.epoch],
            )
            .await?;
        if n == 1 {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "The lease on {} {} was lost.",
            lease.kind, lease.id
        )))
    }

    /// Wakes who waits for this key once the transaction has committed,
    /// without making it dirty.
    pub fn wake(&mut self, kind: &str, id: &str) {
        if !self.woken.iter().any(|(k, i)| k == kind && i == id) {
            self.woken.push((kind.to_owned(), id.to_owned()));
        }
    }

    pub(crate) fn set_events(&mut self) {
        self.events = true;
    }

    #[must_use]
    pub fn dialect(&self) -> crate::Dialect {
        self.db.dialect()
    }

    /// Commits, then wakes whoever waits for what it wrote.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`; then nothing was written.
    pub async fn commit(mut self) -> Result<()> {
        if self.events {
            // Dispatchers wait for nothing more exact.
            self.wake("outbox", "");
        }
        if !self.woken.is_empty() && self.dialect() == crate::Dialect::Postgres {
            // Delivered by PostgreSQL at commit, to every server.
            let text = wake::payload(&self.woken);
            self.query("SELECT pg_notify('jeroboam', ?)", crate::values![text])
                .await?;
        }
        let done = match self.inner {
            Inner::Sqlite(t) => t.commit().await,
            Inner::Postgres(t) => t.commit().await,
            Inner::Mysql(t) => t.commit().await,
        };
        done.map_err(|e| row::failed("COMMIT", e))?;
        if !self.woken.is_empty() {
            self.db.wakes.wake_keys(&self.woken);
        }
        Ok(())
    }
}
