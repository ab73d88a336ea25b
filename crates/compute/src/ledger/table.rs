//! SQL of the ledger.

use db::{Db, Tx, values};
use kernel::{Result, clock};

/// An entry, with the status of its server if that exists.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub name: String,
    pub object: String,
    pub server_id: String,
    pub status: Option<String>,
    /// Whether the server once ran: then all of its objects were made.
    pub launched: bool,
}

pub(crate) async fn add(
    tx: &mut Tx,
    name: &str,
    object: &str,
    server_id: &str,
    host: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO ledger (name, object, server_id, host, created_at) VALUES (?, ?, ?, ?, ?)",
        values![name, object, server_id, host, clock::now_micros()],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_of(tx: &mut Tx, server_id: &str) -> Result<()> {
    tx.execute("DELETE FROM ledger WHERE server_id = ?", values![server_id])
        .await
        .map(|_| ())
}

pub(super) async fn all(db: &Db) -> Result<Vec<Entry>> {
    let rows = db
        .query(
            "SELECT l.name AS name, l.object AS object, l.server_id AS server_id, s.status AS status, \
             s.launched_at AS launched_at \
             FROM ledger l LEFT JOIN server s ON s.id = l.server_id",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok(Entry {
                name: r.text("name")?,
                object: r.text("object")?,
                server_id: r.text("server_id")?,
                status: r.opt_text("status")?,
                launched: r.opt_int("launched_at")?.is_some(),
            })
        })
        .collect()
}
