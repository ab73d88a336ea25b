//! What one installation (one database) is known by: its id, which labels all
//! that it makes, and the proof that its servers share the same keys.

use anyhow::{Result, bail};
use db::{Db, Migration, values};
use kernel::{Kind, ids};

pub fn migrations() -> &'static [Migration] {
    &[Migration {
        name: "installation-001",
        sql: "CREATE TABLE IF NOT EXISTS installation (name varchar(36) NOT NULL PRIMARY KEY,
            value varchar(255) NOT NULL)",
    }]
}

/// The installation's id, drawn by the first server.
pub async fn installation(db: &Db) -> Result<String> {
    first(db, "id", ids::hex()).await
}

/// Several servers on one database must share the key directory: the first
/// one writes a value that only its keys can have made.
pub async fn check_keys(db: &Db, sealer: &pki::Sealer) -> Result<()> {
    let value = first(db, "key check", sealer.key_check()).await?;
    if !sealer.knows(&value) {
        bail!(
            "keys: this database was sealed with other keys; copy the directory 'keys' of the other server's state directory"
        );
    }
    Ok(())
}

/// Writes a value unless there is one; answers the one that is there.
async fn first(db: &Db, name: &str, mine: String) -> Result<String> {
    let sql = "SELECT value FROM installation WHERE name = ?";
    if let Some(row) = db.query_opt(sql, values![name]).await? {
        return Ok(row.text("value")?);
    }
    let mut tx = db.begin().await?;
    let put = tx
        .execute(
            "INSERT INTO installation (name, value) VALUES (?, ?)",
            values![name, &mine],
        )
        .await;
    match put {
        Ok(_) => {
            tx.commit().await?;
            Ok(mine)
        }
        Err(e) if e.kind == Kind::AlreadyExists => {
            drop(tx);
            let row = db.query_opt(sql, values![name]).await?;
            Ok(row
                .map(|r| r.text("value"))
                .transpose()?
                .unwrap_or_default())
        }
        Err(e) => Err(e.into()),
    }
}
