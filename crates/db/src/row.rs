//! Rows and the three ways to run a statement.

use kernel::{Error, Result};
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Executor, MySql, Postgres, Row as _, Sqlite};

use crate::Value;

/// A row of a result; columns are read by name.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    Mysql(MySqlRow),
}

macro_rules! get {
    ($self:ident, $t:ty, $name:ident) => {
        match $self {
            Row::Sqlite(r) => r.try_get::<$t, _>($name),
            Row::Postgres(r) => r.try_get::<$t, _>($name),
            Row::Mysql(r) => r.try_get::<$t, _>($name),
        }
        .map_err(|e| Error::internal(e).context(format!("column {}", $name)))
    };
}

impl Row {
    /// A text column that is never null.
    ///
    /// # Errors
    /// `Internal` where the column is missing, null or of another type.
    pub fn text(&self, name: &str) -> Result<String> {
        get!(self, String, name)
    }

    /// A text column that may be null.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn opt_text(&self, name: &str) -> Result<Option<String>> {
        get!(self, Option<String>, name)
    }

    /// A `bigint` column that is never null.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn int(&self, name: &str) -> Result<i64> {
        get!(self, i64, name)
    }

    /// A `bigint` column that may be null.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>> {
        get!(self, Option<i64>, name)
    }

    /// A boolean column.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn flag(&self, name: &str) -> Result<bool> {
        get!(self, bool, name)
    }

    /// A boolean column that may be null.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn opt_flag(&self, name: &str) -> Result<Option<bool>> {
        get!(self, Option<bool>, name)
    }

    /// A binary column.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn blob(&self, name: &str) -> Result<Vec<u8>> {
        get!(self, Vec<u8>, name)
    }

    /// A text column that holds JSON.
    ///
    /// # Errors
    /// As [`Row::text`], and where the text is not JSON.
    pub fn json(&self, name: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.text(name)?)?)
    }
}

/// `?` becomes `$1`, `$2`, … outside of quotes, as PostgreSQL wants it.
pub(crate) fn dollars(sql: &str) -> String {
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

runners!(Sqlite, sqlite_all, sqlite_exec, Sqlite, str::to_owned);
runners!(Postgres, pg_all, pg_exec, Postgres, dollars);
runners!(MySql, mysql_all, mysql_exec, Mysql, str::to_owned);

/// Unique violations are `AlreadyExists`, lost connections `Unavailable`.
pub(crate) fn failed(sql: &str, e: sqlx::Error) -> Error {
    let head: String = sql
        .split_whitespace()
        .take(12)
        .collect::<Vec<_>>()
        .join(" ");
    if let sqlx::Error::Database(d) = &e
        && d.is_unique_violation()
    {
        return Error::exists("The object exists already.")
            .context(e)
            .context(head);
    }
    match &e {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            Error::unavailable("The database does not answer.")
                .context(e)
                .context(head)
        }
        _ => Error::internal(e).context(head),
    }
}
