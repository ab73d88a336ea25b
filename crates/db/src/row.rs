//! Rows and the three ways to run a statement.

use kernel::{Error, Kind, Result, Timestamp};
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, MySql, Postgres, Row as _};

use crate::Value;
use crate::sqlite_rows::{FromCell as _, SqliteRow};
use crate::statement_name::statement_name;

/// A row of a result; columns are read by name.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    Mysql(MySqlRow),
}

macro_rules! get {
    ($self:ident, $t:ty, $name:ident) => {
        match $self {
            Row::Sqlite(r) => r.cell($name).and_then(<$t>::from_cell),
            Row::Postgres(r) => r.try_get::<$t, _>($name).map_err(Error::internal),
            Row::Mysql(r) => r.try_get::<$t, _>($name).map_err(Error::internal),
        }
        .map_err(|e| e.context(format!("column {}", $name)))
    };
}

impl Row {
    /// A text column that is never null.
    ///
    /// # Errors
    /// `Internal` if the column is missing, null or of another type.
    pub fn text(&self, name: &str) -> Result<String> {
        get!(self, String, name)
    }

    /// Like [`Row::text`], without a copy.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn str(&self, name: &str) -> Result<&str> {
        get!(self, &str, name)
    }

    /// A text column that may be null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn opt_text(&self, name: &str) -> Result<Option<String>> {
        get!(self, Option<String>, name)
    }

    /// A `bigint` column that is never null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn int(&self, name: &str) -> Result<i64> {
        get!(self, i64, name)
    }

    /// A `bigint` column that may be null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>> {
        get!(self, Option<i64>, name)
    }

    /// A time that is never null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn time(&self, name: &str) -> Result<Timestamp> {
        self.int(name).map(Timestamp::from_micros)
    }

    /// A time that may be null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn opt_time(&self, name: &str) -> Result<Option<Timestamp>> {
        Ok(self.opt_int(name)?.map(Timestamp::from_micros))
    }

    /// A boolean column.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn flag(&self, name: &str) -> Result<bool> {
        get!(self, bool, name)
    }

    /// A boolean column that may be null.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn opt_flag(&self, name: &str) -> Result<Option<bool>> {
        get!(self, Option<bool>, name)
    }

    /// A binary column.
    ///
    /// # Errors
    /// Same errors as [`Row::text`].
    pub fn blob(&self, name: &str) -> Result<Vec<u8>> {
        get!(self, Vec<u8>, name)
    }

    /// A text column that holds JSON.
    ///
    /// # Errors
    /// As [`Row::text`], and if the text is not JSON.
    pub fn json(&self, name: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.text(name)?)?)
    }
}

/// Replaces `?` by `$1`, `$2`, … outside of quotes, for PostgreSQL.
pub(crate) fn numbered_placeholders(sql: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(sql.len() + 16);
    let (mut n, mut quoted) = (0, false);
    for c in sql.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                out.push(c);
            }
            '?' if !quoted => {
                n += 1;
                let _ = write!(out, "${n}");
            }
            _ => out.push(c),
        }
    }
    out
}

macro_rules! bound {
    ($sql:expr, $args:expr) => {{
        let mut q = sqlx::query(AssertSqlSafe($sql));
        for v in $args {
            q = match v {
                Value::Text(x) => q.bind(x),
                Value::Int(x) => q.bind(x),
                Value::Bool(x) => q.bind(x),
                Value::Blob(x) => q.bind(x),
            };
        }
        q
    }};
}

macro_rules! runners {
    ($db:ty, $all:ident, $exec:ident, $variant:ident, $text:expr) => {
        pub(crate) async fn $all<'c, E>(e: E, sql: &str, args: Vec<Value>) -> Result<Vec<Row>>
        where
            E: Executor<'c, Database = $db>,
        {
            let rows = bound!($text(sql), args)
                .fetch_all(e)
                .await
                .map_err(|e| failed(sql, e))?;
            Ok(rows.into_iter().map(Row::$variant).collect())
        }

        pub(crate) async fn $exec<'c, E>(e: E, sql: &str, args: Vec<Value>) -> Result<u64>
        where
            E: Executor<'c, Database = $db>,
        {
            let done = bound!($text(sql), args)
                .execute(e)
                .await
                .map_err(|e| failed(sql, e))?;
            Ok(done.rows_affected())
        }
    };
}

runners!(Postgres, pg_all, pg_exec, Postgres, numbered_placeholders);
runners!(MySql, mysql_all, mysql_exec, Mysql, str::to_owned);

/// PostgreSQL: a text has the character NUL or is not valid UTF-8.
const UNSTORABLE: &str = "22021";

/// Unique violations are `AlreadyExists`, deadlocks and serialization
/// failures `Aborted`, lost connections `Unavailable`.
pub(crate) fn failed(sql: &str, e: sqlx::Error) -> Error {
    let error = match &e {
        sqlx::Error::Database(d) if d.is_unique_violation() => {
            Error::exists("The object exists already.")
        }
        sqlx::Error::Database(d) if is_abort(d.as_ref()) => Error::new(
            Kind::Aborted,
            "The database was busy with conflicting changes; try again.",
        ),
        sqlx::Error::Database(d) if d.code().as_deref() == Some(UNSTORABLE) => {
            Error::invalid("text", "A text contains a character that cannot be stored.")
        }
        e if is_lost(e) => Error::unavailable("The database does not answer."),
        _ => return Error::internal(e).context(statement_name(sql)),
    };
    error.context(e).context(statement_name(sql))
}

/// Like [`failed`], for a commit, whose outcome is unknown after a lost
/// connection.
pub(crate) fn failed_commit(e: sqlx::Error) -> Error {
    if is_lost(&e) {
        return Error::new(
            Kind::OutcomeUnknown,
            "The connection to the database was lost while the change was written; \
             look whether it took effect before you repeat it.",
        )
        .context(e)
        .context("COMMIT");
    }
    failed("COMMIT", e)
}

/// PostgreSQL: serialization failure, deadlock, idle transaction. MariaDB: deadlock, lock wait
/// timeout, row changed since it was read.
fn is_abort(e: &dyn sqlx::error::DatabaseError) -> bool {
    if let Some(e) = e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(e.number(), 1205 | 1213 | 1020);
    }
    // 25P03: the transaction was idle for too long, and is rolled back.
    matches!(e.code().as_deref(), Some("40001" | "40P01" | "25P03"))
}

/// No answer was received, or the server is shutting down (PostgreSQL's class
/// 57P, MariaDB's shutdown errors).
fn is_lost(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(d) => {
            if let Some(e) = d.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return matches!(e.number(), 1053 | 1927 | 1040 | 3169);
            }
            d.code()
                .is_some_and(|c| c.starts_with("57P") || c.starts_with("08") || c == "53300")
        }
        _ => false,
    }
}
