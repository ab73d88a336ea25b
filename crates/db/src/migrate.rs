//! Schema migrations. Each is one repeatable statement; a table records which
//! ones ran. Migrations only add.

use std::time::Duration;

use kernel::{Error, Kind, Result, clock};
use tokio::time::Instant;

use crate::schema::{SCHEMA, SHARED_WITH};
use crate::{Db, Dialect, Tx, values};

/// One migration.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique and sorted, such as `identity-001-users`.
    pub name: &'static str,
    /// Portable DDL; `{blob}` is replaced by the binary type of the database
    /// and `{text}` by its type for long text.
    pub sql: &'static str,
}

/// The leases of a stopped server have ended after this time.
const LEASE_EXPIRY_WAIT: Duration = Duration::from_secs(13);
/// PostgreSQL's advisory lock of migrations.
const LOCK: i64 = 5_077_001;
/// The name of the lock in MariaDB.
const LOCK_NAME: &str = "jeroboam.migration";

const OWN: &[Migration] = &[
    Migration {
        name: "db-001-flow-key",
        sql: "CREATE TABLE IF NOT EXISTS flow_key (
            kind varchar(40) NOT NULL, id varchar(128) NOT NULL,
            due_at bigint, generation bigint NOT NULL, owner varchar(64),
            lease_until bigint NOT NULL, epoch bigint NOT NULL,
            attempts bigint NOT NULL, last_error {text}, PRIMARY KEY (kind, id))",
    },
    Migration {
        name: "db-002-flow-due",
        sql: "CREATE INDEX flow_key_due ON flow_key (due_at)",
    },
    Migration {
        name: "db-003-outbox",
        sql: "CREATE TABLE IF NOT EXISTS outbox (
            seq bigint NOT NULL, id varchar(36) NOT NULL PRIMARY KEY,
            event_type varchar(120) NOT NULL, project_id varchar(64), payload {text} NOT NULL)",
    },
    Migration {
        name: "db-004-outbox-seq",
        sql: "CREATE INDEX outbox_seq ON outbox (seq)",
    },
    Migration {
        name: "db-005-flow-tenant",
        sql: "ALTER TABLE flow_key ADD COLUMN tenant varchar(64)",
    },
    Migration {
        name: "db-006-flow-urgent",
        sql: "ALTER TABLE flow_key ADD COLUMN urgent boolean",
    },
    Migration {
        name: "db-007-flow-owner",
        sql: "CREATE INDEX flow_key_owner ON flow_key (owner)",
    },
    Migration {
        name: "db-008-generation",
        sql: "CREATE TABLE IF NOT EXISTS object_generation (
            kind varchar(40) NOT NULL, id varchar(64) NOT NULL, generation bigint NOT NULL,
            removed_at bigint, PRIMARY KEY (kind, id))",
    },
    Migration {
        name: "db-009-generation-removed",
        sql: "CREATE INDEX object_generation_removed ON object_generation (removed_at)",
    },
    Migration {
        name: "db-010-receipt",
        sql: "CREATE TABLE IF NOT EXISTS commit_receipt (
            id varchar(36) NOT NULL PRIMARY KEY, at bigint NOT NULL)",
    },
    Migration {
        name: "db-011-receipt-at",
        sql: "CREATE INDEX commit_receipt_at ON commit_receipt (at)",
    },
    // Ids of some objects are longer than the columns of the previous table,
    // which databases of schema 2 have.
    Migration {
        name: "db-012-call-generation",
        sql: "CREATE TABLE IF NOT EXISTS call_generation (
            kind varchar(40) NOT NULL, id varchar(128) NOT NULL, generation bigint NOT NULL,
            removed_at bigint, PRIMARY KEY (kind, id))",
    },
    Migration {
        name: "db-013-call-generation-removed",
        sql: "CREATE INDEX call_generation_removed ON call_generation (removed_at)",
    },
];

impl Db {
    /// Runs missing migrations in order, while other starting servers wait.
    ///
    /// # Errors
    /// `Precondition` if a newer, incompatible release has migrated the
    /// database; `Internal` with the name of a failed migration.
    pub async fn migrate(&self, steps: &[Migration]) -> Result<()> {
        self.migrate_as(steps, SCHEMA, SHARED_WITH).await
    }

    /// Like [`Db::migrate`], for a release with another schema.
    ///
    /// # Errors
    /// Same errors as [`Db::migrate`].
    pub async fn migrate_as(&self, steps: &[Migration], schema: i64, shared: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let locked = match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => tx
                .query("SELECT pg_advisory_xact_lock(?)", values![LOCK])
                .await
                .map(|_| ()),
            // A session setting, because DDL commits each time.
            Dialect::Mysql => tx
                .query("SELECT GET_LOCK(?, 120) AS got", values![LOCK_NAME])
                .await
                .and_then(|rows| match rows.first().map(|r| r.opt_int("got")) {
                    Some(Ok(Some(1))) => Ok(()),
                    _ => Err(Error::unavailable(
                        "Another server is migrating the database and has not finished within two minutes.",
                    )),
                }),
        };
        locked?;
        let done = self.migrate_locked(&mut tx, steps, schema, shared).await;
        if self.dialect() == Dialect::Mysql {
            tx.query("SELECT RELEASE_LOCK(?) AS freed", values![LOCK_NAME])
                .await?;
        }
        done?;
        tx.commit().await
    }

    async fn migrate_locked(
        &self,
        tx: &mut Tx,
        steps: &[Migration],
        schema: i64,
        shared: i64,
    ) -> Result<()> {
        for table in [
            "CREATE TABLE IF NOT EXISTS migration (name varchar(80) NOT NULL PRIMARY KEY, applied_at bigint NOT NULL)",
            "CREATE TABLE IF NOT EXISTS schema_release (\
             id bigint NOT NULL PRIMARY KEY, version bigint NOT NULL, shared_with bigint NOT NULL)",
        ] {
            tx.execute(table, vec![]).await?;
        }
        let row = tx
            .query_opt(
                "SELECT version, shared_with FROM schema_release WHERE id = 1",
                vec![],
            )
            .await?;
        let found = match row {
            Some(row) => Some((row.int("version")?, row.int("shared_with")?)),
            None => None,
        };
        if let Some((version, needs)) = found
            && needs > schema
        {
            return Err(Error::new(
                Kind::Precondition,
                format!(
                    "The database has schema {version}, written by a newer release that shares it \
                     with servers of schema {needs} and later only; this server has schema {schema}. \
                     Start the newer release, or restore a backup of before the upgrade."
                ),
            ));
        }
        if found.is_some_and(|(version, _)| version < shared) {
            self.check_no_older_servers().await?;
        }
        let done: std::collections::HashSet<String> = tx
            .query("SELECT name FROM migration", vec![])
            .await?
            .iter()
            .map(|r| r.text("name"))
            .collect::<Result<_>>()?;
        for step in OWN.iter().chain(steps).filter(|m| !done.contains(m.name)) {
            self.step(tx, step)
                .await
                .map_err(|e| e.context(format!("migration {}", step.name)))?;
        }
        match found {
            None => {
                tx.execute(
                    "INSERT INTO schema_release (id, version, shared_with) VALUES (1, ?, ?)",
                    values![schema, shared],
                )
                .await?;
            }
            // An older server next to a newer one does not lower the version.
            Some((version, _)) if version < schema => {
                tx.execute(
                    "UPDATE schema_release SET version = ?, shared_with = ? WHERE id = 1",
                    values![schema, shared],
                )
                .await?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Waits until servers that cannot share the database with this release
    /// have stopped: an active server holds leases. On SQLite there is no other
    /// server.
    async fn check_no_older_servers(&self) -> Result<()> {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM flow_key WHERE owner IS NOT NULL AND lease_until > {}",
            self.now_sql()
        );
        let end = Instant::now() + LEASE_EXPIRY_WAIT;
        while self.dialect() != Dialect::Sqlite {
            let rows = self.query(&sql, vec![]).await?;
            if rows.first().map(|r| r.int("n")).transpose()? == Some(0) {
                break;
            }
            if Instant::now() >= end {
                return Err(Error::new(
                    Kind::Precondition,
                    format!(
                        "A server of an older release works on this database, which cannot be shared \
                         with this newer release of schema {SCHEMA}. Stop all servers of the older \
                         release first."
                    ),
                ));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn step(&self, tx: &mut Tx, step: &Migration) -> Result<()> {
        let (blob, text) = match self.dialect() {
            Dialect::Sqlite => ("blob", "text"),
            Dialect::Postgres => ("bytea", "text"),
            Dialect::Mysql => ("longblob", "longtext"),
        };
        let mut sql = step.sql.replace("{blob}", blob).replace("{text}", text);
        if self.dialect() == Dialect::Mysql && sql.trim_start().starts_with("CREATE TABLE") {
            sql.push_str(" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        }
        let ran = tx.execute(&sql, vec![]).await;
        match ran {
            Ok(_) => {}
            // MySQL commits DDL immediately: a crash can occur between the DDL
            // and its record.
            Err(e) if self.dialect() == Dialect::Mysql && repeated(&e) => {}
            Err(e) => return Err(e),
        }
        tx.execute(
            "INSERT INTO migration (name, applied_at) VALUES (?, ?)",
            values![step.name, clock::now()],
        )
        .await?;
        Ok(())
    }
}

fn repeated(e: &Error) -> bool {
    e.context
        .as_deref()
        .is_some_and(|c| c.contains("Duplicate key name") || c.contains("Duplicate column"))
}
