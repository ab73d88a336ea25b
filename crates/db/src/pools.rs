//! The connections to a database, opened by its URL.

use std::str::FromStr as _;
use std::sync::Arc;

use kernel::{Error, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::sqlite::Sqlite;

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

impl Pools {
    /// Opens `sqlite:PATH`, `postgres://…` or `mysql://…`.
    ///
    /// # Errors
    /// `Invalid` for another scheme, `Unavailable` if the database does not
    /// answer.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        Ok(if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.trim_start_matches("//");
            Self::Sqlite(Arc::new(Sqlite::open(path, true)?))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|e| bad_url(url, &e))?
                .statement_cache_capacity(STATEMENTS)
                .options([("idle_in_transaction_session_timeout", IDLE_TRANSACTION)]);
            let pool = |size| PgPoolOptions::new().max_connections(size);
            Self::Postgres {
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
            Self::Mysql {
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
        })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
            Self::Mysql { .. } => Dialect::Mysql,
        }
    }

    /// Pools that use the connections for leases only.
    pub(crate) fn for_leases(&self) -> Self {
        match self {
            Self::Sqlite(sqlite) => Self::Sqlite(sqlite.clone()),
            Self::Postgres { leases, .. } => Self::Postgres {
                work: leases.clone(),
                leases: leases.clone(),
            },
            Self::Mysql { leases, .. } => Self::Mysql {
                work: leases.clone(),
                leases: leases.clone(),
            },
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
