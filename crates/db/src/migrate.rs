//! Schema steps. Each is one statement that can be run again; a table says
//! which ran. Additive only.

use kernel::{Error, Result, clock};

use crate::{Db, Dialect, Tx, values};

/// One schema step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique and sorted, as `identity-001-users`.
    pub name: &'static str,
    /// DDL in the portable subset; `{blob}` stands for the dialect's binary
    /// type and `{text}` for long text.
    pub sql: &'static str,
}

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
        name: "db-999-stub",
        sql: "CREATE TABLE IF NOT EXISTS seen_generation (kind varchar(40) NOT NULL, id varchar(128) NOT NULL,
            generation bigint NOT NULL, gone boolean NOT NULL, PRIMARY KEY (kind, id))",
    },
];

impl Db {
    /// Runs the steps that have not run, in order.
    ///
    /// # Errors
    /// `Internal` with the step's name where one fails.
    pub async fn migrate(&self, steps: &[Migration]) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "CREATE TABLE IF NOT EXISTS migration (name varchar(80) NOT NULL PRIMARY KEY, applied_at bigint NOT NULL)",
            vec![],
        )
        .await?;
        tx.commit().await?;
        let done: std::collections::HashSet<String> = self
            .query("SELECT name FROM migration", vec![])
            .await?
            .iter()
            .map(|r| r.text("name"))
            .collect::<Result<_>>()?;
        let pending: Vec<_> = OWN
            .iter()
            .chain(steps)
            .filter(|m| !done.contains(m.name))
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        if self.dialect() == Dialect::Postgres {
            // Two servers that start at once: one migrates, one waits.
            tx.query("SELECT pg_advisory_xact_lock(5077001)", vec![])
                .await?;
        }
        for step in pending {
            self.step(&mut tx, step)
                .await
                .map_err(|e| e.context(format!("migration {}", step.name)))?;
        }
        tx.commit().await
    }

    async fn step(&self, tx: &mut Tx, step: &Migration) -> Result<()> {
        let again = tx
            .query_opt(
                "SELECT name FROM migration WHERE name = ?",
                values![step.name],
            )
            .await?;
        if again.is_some() {
            return Ok(());
        }
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
            // MySQL commits DDL at once: a crash between DDL and the mark.
            Err(e) if self.dialect() == Dialect::Mysql && repeated(&e) => {}
            Err(e) => return Err(e),
        }
        tx.execute(
            "INSERT INTO migration (name, applied_at) VALUES (?, ?)",
            values![step.name, clock::now_micros()],
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
