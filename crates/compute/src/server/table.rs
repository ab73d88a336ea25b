//! SQL of servers. What a worker decides is written under its lease only.

use db::{Db, Fenced, Table as _, Tx, values};
use kernel::{OwnerKey, Result, clock};

use super::model::ServerRow;
use crate::face::ServerStatus;

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<ServerRow>> {
    let sql = format!("{} WHERE id = ?", ServerRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(ServerRow::read).transpose()
}

/// The servers of an owner, by name.
pub(crate) async fn of_owner(db: &Db, owner: &OwnerKey) -> Result<Vec<ServerRow>> {
    let sql = format!(
        "{} WHERE owner_kind = ? AND owner_id = ? ORDER BY name",
        ServerRow::select()
    );
    let rows = db.query(&sql, values![&owner.kind, &owner.id]).await?;
    rows.iter().map(ServerRow::read).collect()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &str) -> Result<Option<ServerRow>> {
    let sql = format!("{} WHERE id = ?", ServerRow::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(ServerRow::read).transpose()
}

/// The status as it is stored.
pub(crate) async fn status(db: &Db, id: &str) -> Result<Option<String>> {
    let row = db
        .query_opt("SELECT status FROM server WHERE id = ?", values![id])
        .await?;
    row.map(|r| r.text("status")).transpose()
}

/// Id and status of all servers that have a container to follow.
pub(crate) async fn followed(db: &Db) -> Result<Vec<(String, ServerStatus)>> {
    let rows = db
        .query(
            "SELECT id, status FROM server WHERE launched_at IS NOT NULL \
             AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR') ORDER BY id",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| Ok((r.text("id")?, ServerStatus::of_word(&r.text("status")?)?)))
        .collect()
}

/// Servers that wait for their host.
pub(crate) async fn in_trouble(db: &Db) -> Result<Vec<String>> {
    let rows = db
        .query(
            "SELECT id FROM server WHERE trouble_since IS NOT NULL ORDER BY id",
            vec![],
        )
        .await?;
    rows.iter().map(|r| r.text("id")).collect()
}

pub(crate) async fn set_host(tx: &mut Tx, id: &str, host: &str) -> Result<()> {
    tx.execute("UPDATE server SET host = ? WHERE id = ?", values![host, id])
        .await
        .map(|_| ())
}

/// No host can take a new server.
pub(crate) async fn set_unplaced(tx: &mut Tx, id: &str, message: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, user_data = NULL \
         WHERE id = ? AND status = 'BUILD'",
        values![message, id],
    )
    .await
    .map(|_| ())
}

/// What a server waits for; `trouble` is since when its host has not answered.
pub(crate) async fn set_progress(
    tx: &mut Fenced,
    id: &str,
    progress: Option<&str>,
    trouble: Option<i64>,
) -> Result<()> {
    tx.execute(
        "UPDATE server SET progress = ?, trouble_since = ? WHERE id = ?",
        values![progress, trouble, id],
    )
    .await
    .map(|_| ())
}

/// Ends a build well unless a removal has begun meanwhile; whether it did.
/// The user data holds one-time tokens: it goes.
pub(crate) async fn set_active(tx: &mut Fenced, id: &str, addresses: &[String]) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'ACTIVE', progress = NULL, trouble_since = NULL, user_data = NULL, \
             addresses = ?, launched_at = ? WHERE id = ? AND status = 'BUILD'",
            values![
                serde_json::to_string(addresses)?,
                clock::now_micros(),
                id
            ],
        )
        .await?;
    Ok(n == 1)
}

/// Moves a launched server, out of ERROR too; whether it did.
pub(crate) async fn set_status(tx: &mut Fenced, id: &str, status: ServerStatus) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = ?, fault_code = NULL, fault = NULL, progress = NULL, \
             trouble_since = NULL WHERE id = ? \
             AND launched_at IS NOT NULL AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR')",
            values![status.word(), id],
        )
        .await?;
    Ok(n == 1)
}

/// Ends in ERROR unless a removal has begun; whether it did.
pub(crate) async fn set_fault(tx: &mut Fenced, id: &str, message: &str) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, \
             trouble_since = NULL, user_data = NULL WHERE id = ? AND status <> 'DELETING'",
            values![message, id],
        )
        .await?;
    Ok(n == 1)
}

/// Ends a removal that did not succeed; it can be asked for again.
pub(crate) async fn set_not_removed(tx: &mut Fenced, id: &str, message: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, \
         trouble_since = NULL WHERE id = ? AND status = 'DELETING'",
        values![message, id],
    )
    .await
    .map(|_| ())
}

/// Begins a build of a server that was there before. That `launched_at` is set
/// tells that what the build before has left goes first.
pub(crate) async fn set_rebuild(
    tx: &mut Tx,
    id: &str,
    user_data: &str,
    generation: Option<i64>,
) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'BUILD', progress = NULL, fault_code = NULL, fault = NULL, \
         trouble_since = NULL, user_data = ?, launched_at = COALESCE(launched_at, ?), build = build + 1, \
         rebuilt_generation = ? WHERE id = ?",
        values![user_data, clock::now_micros(), generation, id],
    )
    .await
    .map(|_| ())
}

/// Begins the next build of a server whose container is of no use. As in a
/// rebuild `launched_at` tells that what is there goes first.
pub(crate) async fn set_build_anew(tx: &mut Fenced, id: &str, progress: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET progress = ?, launched_at = COALESCE(launched_at, ?), build = build + 1 \
         WHERE id = ? AND status = 'BUILD'",
        values![progress, clock::now_micros(), id],
    )
    .await
    .map(|_| ())
}

/// Nothing of earlier builds is left on its host.
pub(crate) async fn set_cleared(tx: &mut Fenced, id: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET launched_at = NULL WHERE id = ? AND status = 'BUILD'",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn set_deleting(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'DELETING', progress = NULL, trouble_since = NULL \
         WHERE id = ? AND status <> 'DELETING'",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Fenced, id: &str) -> Result<()> {
    tx.execute("DELETE FROM server WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
