//! SQLite in this process, on the calling thread.
//!
//! There is one connection for writing and several for reading. Writers queue
//! in order of arrival. A commit does not flush the write-ahead log itself: one
//! flush covers all transactions that committed before it started, and
//! [`Sqlite::flushed`] returns after such a flush.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kernel::{Error, Kind, Result, clock, ids};
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use crate::Value;
use crate::sqlite_rows::{Found, SqliteRow};

/// Number of prepared statements that a connection caches: all statements of
/// the product.
const STATEMENTS: usize = 512;
/// Settings of each connection. The page cache, in KiB, holds the rows of a list of
/// 1,000 clusters.
const PRAGMAS: &str =
    "PRAGMA foreign_keys = ON; PRAGMA temp_store = memory; PRAGMA cache_size = -8192;";
/// Another process may hold the write lock of the file for this long.
const BUSY: Duration = Duration::from_secs(30);
/// Number of idle read connections that are kept; more are opened when all are
/// in use.
const READERS: usize = 8;

/// A database file that this process has opened.
pub(crate) struct Sqlite {
    /// `None` for an in-memory database, whose writer is its only connection.
    path: Option<PathBuf>,
    writer: Arc<Queue<Connection>>,
    readers: Mutex<Vec<Connection>>,
    durable: bool,
    /// Number of committed transactions, and how many of them are on disk.
    committed: AtomicU64,
    flushed: AtomicU64,
    flush: Queue<()>,
    log: OnceLock<std::fs::File>,
}

impl Sqlite {
    /// With `durable: false` the operating system decides when changes reach
    /// the disk, for data that need not survive a power failure.
    pub(crate) fn open(path: &str, durable: bool) -> Result<Self> {
        let memory = path.is_empty() || path == ":memory:";
        let path = (!memory).then(|| PathBuf::from(path));
        let writer = match &path {
            None => Connection::open_in_memory().map_err(unreachable)?,
            Some(path) => Connection::open(path).map_err(unreachable)?,
        };
        prepare(&writer)?;
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 4000;";
        writer.execute_batch(pragmas).map_err(unreachable)?;
        let level = if durable { "NORMAL" } else { "OFF" };
        writer
            .execute_batch(&format!("PRAGMA synchronous = {level}"))
            .map_err(unreachable)?;
        // [`Sqlite::begin`] waits asynchronously instead of blocking the
        // thread.
        writer.busy_timeout(Duration::ZERO).map_err(unreachable)?;
        Ok(Self {
            durable: durable && path.is_some(),
            path,
            writer: Arc::new(Queue::new(writer)),
            readers: Mutex::default(),
            committed: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            flush: Queue::new(()),
            log: OnceLock::new(),
        })
    }

    /// Reads outside of a transaction.
    pub(crate) async fn read(&self, sql: &str, args: &[Value]) -> Result<Vec<SqliteRow>> {
        let Some(path) = &self.path else {
            return query(&*self.writer.lock().await, sql, args);
        };
        let reader = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let reader = Connection::open_with_flags(path, flags).map_err(unreachable)?;
                prepare(&reader)?;
                reader
            }
        };
        let rows = query(&reader, sql, args);
        let mut idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(reader);
        }
        rows
    }

    /// Begins a write transaction.
    pub(crate) async fn begin(&self) -> Result<SqliteTx> {
        let connection = self.writer.clone().lock_owned().await;
        let end = tokio::time::Instant::now() + BUSY;
        loop {
            match run(&connection, "BEGIN IMMEDIATE") {
                Ok(()) => break,
                // Another process writes: wait without blocking this thread.
                Err(e) if is_busy(&e) && tokio::time::Instant::now() < end => {
                    let pause = 0.5 + ids::jitter() * 2.0;
                    tokio::time::sleep(Duration::from_secs_f64(pause / 1000.0)).await;
                }
                Err(e) => return Err(failed("BEGIN IMMEDIATE", e)),
            }
        }
        Ok(SqliteTx {
            connection,
            open: true,
        })
    }

    /// Waits until everything committed so far is on disk.
    pub(crate) async fn flushed(&self) -> Result<()> {
        if !self.durable {
            return Ok(());
        }
        let mine = self.committed.load(Ordering::SeqCst);
        if self.flushed.load(Ordering::SeqCst) >= mine {
            return Ok(());
        }
        let _turn = self.flush.lock().await;
        if self.flushed.load(Ordering::SeqCst) >= mine {
            return Ok(());
        }
        // This flush covers everything committed until now.
        let served = self.committed.load(Ordering::SeqCst);
        let log = self.log()?.try_clone().map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || log.sync_data())
            .await
            .map_err(Error::internal)?
            .map_err(|e| {
                // The transaction is committed, but its durability is unknown.
                Error::new(Kind::OutcomeUnknown, "The database cannot be written.").context(e)
            })?;
        self.flushed.fetch_max(served, Ordering::SeqCst);
        Ok(())
    }

    fn log(&self) -> Result<&std::fs::File> {
        if let Some(log) = self.log.get() {
            return Ok(log);
        }
        let mut name = self.path.clone().unwrap_or_default().into_os_string();
        name.push("-wal");
        let file = std::fs::File::open(name)
            .map_err(|e| Error::internal(e).context("the write-ahead log"))?;
        Ok(self.log.get_or_init(|| file))
    }
}

/// An open write transaction; rolled back when dropped.
pub(crate) struct SqliteTx {
    connection: OwnedMutexGuard<Connection>,
    open: bool,
}

impl SqliteTx {
    pub(crate) fn query(&self, sql: &str, args: &[Value]) -> Result<Vec<SqliteRow>> {
        query(&self.connection, sql, args)
    }

    pub(crate) fn execute(&self, sql: &str, args: &[Value]) -> Result<u64> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|e| failed(sql, e))?;
        let n = statement
            .execute(params_from_iter(args.iter().map(bound)))
            .map_err(|e| failed(sql, e))?;
        Ok(u64::try_from(n).unwrap_or(u64::MAX))
    }

    pub(crate) fn commit(mut self, of: &Sqlite) -> Result<()> {
        run(&self.connection, "COMMIT").map_err(|e| failed("COMMIT", e))?;
        self.open = false;
        of.committed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if self.open
            && let Err(e) = run(&self.connection, "ROLLBACK")
        {
            tracing::error!(error = %e, "a transaction was not rolled back");
        }
    }
}

/// Runs a statement without values, prepared once.
fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection
        .create_scalar_function("now_micros", 0, flags, |_| {
            Ok(clock::database_now().as_micros())
        })
        .map_err(unreachable)?;
    // A plan that depends on bound values would be prepared again for each of
    // them.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(unreachable)?;
    connection.execute_batch(PRAGMAS).map_err(unreachable)?;
    // A reader is locked only while another process recovers the file.
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(unreachable)
}

fn query(connection: &Connection, sql: &str, args: &[Value]) -> Result<Vec<SqliteRow>> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| failed(sql, e))?;
    let mut found = Found::new(statement.column_names());
    let mut rows = statement
        .query(params_from_iter(args.iter().map(bound)))
        .map_err(|e| failed(sql, e))?;
    while let Some(row) = rows.next().map_err(|e| failed(sql, e))? {
        found.add(row).map_err(|e| failed(sql, e))?;
    }
    Ok(found.into_rows())
}

fn bound(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    use rusqlite::types::ToSqlOutput::Borrowed;
    Borrowed(match value {
        Value::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
        Value::Int(Some(n)) => ValueRef::Integer(*n),
        Value::Bool(Some(yes)) => ValueRef::Integer(i64::from(*yes)),
        Value::Blob(Some(bytes)) => ValueRef::Blob(bytes),
        Value::Text(None) | Value::Int(None) | Value::Bool(None) | Value::Blob(None) => {
            ValueRef::Null
        }
    })
}

fn is_busy(e: &rusqlite::Error) -> bool {
    matches!(
        e.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn failed(sql: &str, e: rusqlite::Error) -> Error {
    // SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY.
    let unique = e
        .sqlite_error()
        .is_some_and(|e| matches!(e.extended_code, 2067 | 1555));
    let error = if unique {
        Error::exists("The object exists already.").context(e)
    } else if is_busy(&e) {
        Error::unavailable("The database does not answer.").context(e)
    } else {
        Error::internal(e)
    };
    error.context(crate::statement_name::statement_name(sql))
}

fn unreachable(e: rusqlite::Error) -> Error {
    Error::unavailable("The database does not answer.").context(e)
}
