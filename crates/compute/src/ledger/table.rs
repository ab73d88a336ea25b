//! SQL of the ledger.

use std::collections::BTreeMap;

use db::{Db, Fenced, Table as _, Tx, values};
use kernel::{Result, Timestamp, clock};

use crate::ServerId;

db::table! {
    /// An object on a host. Its row can outlive all other rows.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct LedgerRow in "ledger" {
        pub name: String,
        /// `container`, `volume`.
        pub object: String,
        pub server_id: ServerId,
        pub host: String,
        pub created_at: Timestamp,
        /// The build of its server.
        pub build: i64,
    }
}

/// A row with the status of its server, if that exists.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub name: String,
    pub object: String,
    pub server_id: ServerId,
    pub status: Option<String>,
    /// Whether the server has run, so that all of its objects existed.
    pub launched: bool,
}

/// Inserts the objects of a build before any of them is created. The name of
/// the container is the same for all builds.
pub(crate) async fn add(
    tx: &mut Tx,
    (server_id, build): (&ServerId, i64),
    host: &str,
    container: &str,
    volumes: &[String],
) -> Result<()> {
    let row = |name: &str, object: &str| LedgerRow {
        name: name.to_owned(),
        object: object.to_owned(),
        server_id: server_id.clone(),
        host: host.to_owned(),
        created_at: clock::now(),
        build,
    };
    let n = tx
        .execute(
            "UPDATE ledger SET build = ? WHERE name = ?",
            values![build, container],
        )
        .await?;
    if n == 0 {
        row(container, "container").insert(tx).await?;
    }
    for volume in volumes {
        row(volume, "volume").insert(tx).await?;
    }
    Ok(())
}

/// The volumes of a server for builds before `build`, created or not.
pub(crate) async fn volumes_before(
    db: &Db,
    server_id: &ServerId,
    build: i64,
) -> Result<Vec<String>> {
    let rows = db
        .query(
            "SELECT name FROM ledger WHERE server_id = ? AND object = 'volume' AND build < ? ORDER BY name",
            values![server_id, build],
        )
        .await?;
    rows.iter().map(|r| r.text("name")).collect()
}

pub(crate) async fn drop_volumes_before(
    tx: &mut Fenced,
    server_id: &ServerId,
    build: i64,
) -> Result<()> {
    tx.execute(
        "DELETE FROM ledger WHERE server_id = ? AND object = 'volume' AND build < ?",
        values![server_id, build],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_of(tx: &mut Fenced, server_id: &ServerId) -> Result<()> {
    tx.execute("DELETE FROM ledger WHERE server_id = ?", values![server_id])
        .await
        .map(|_| ())
}

/// The builds of all objects, by name.
pub(crate) async fn builds(db: &Db) -> Result<BTreeMap<String, i64>> {
    let rows = db.query("SELECT name, build FROM ledger", vec![]).await?;
    rows.iter()
        .map(|r| Ok((r.text("name")?, r.int("build")?)))
        .collect()
}

pub(crate) async fn has(db: &Db, name: &str) -> Result<bool> {
    let found = db
        .query_opt("SELECT name FROM ledger WHERE name = ?", values![name])
        .await?;
    Ok(found.is_some())
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
                server_id: r.text("server_id")?.into(),
                status: r.opt_text("status")?,
                launched: r.opt_time("launched_at")?.is_some(),
            })
        })
        .collect()
}
