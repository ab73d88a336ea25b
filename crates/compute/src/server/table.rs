//! SQL of servers. Columns of workers are written only under a lease.

use db::{Column as _, Db, Fenced, Table as _, Tx, values};
use kernel::{OwnerKey, Result, Timestamp, clock};
use std::net::Ipv4Addr;

use super::model::ServerRow;
use crate::ServerId;
use crate::api::ServerStatus;

pub(crate) async fn get(db: &Db, id: &ServerId) -> Result<Option<ServerRow>> {
    let sql = format!("{} WHERE id = ?", ServerRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(ServerRow::read).transpose()
}

/// The servers of an owner, ordered by name.
pub(crate) async fn of_owner(db: &Db, owner: &OwnerKey) -> Result<Vec<ServerRow>> {
    let sql = format!(
        "{} WHERE owner_kind = ? AND owner_id = ? ORDER BY name",
        ServerRow::select()
    );
    let rows = db.query(&sql, values![&owner.kind, &owner.id]).await?;
    rows.iter().map(ServerRow::read).collect()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &ServerId) -> Result<Option<ServerRow>> {
    let sql = format!("{} WHERE id = ?", ServerRow::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(ServerRow::read).transpose()
}

/// The status as it is stored.
pub(crate) async fn status(db: &Db, id: &ServerId) -> Result<Option<String>> {
    let row = db
        .query_opt("SELECT status FROM server WHERE id = ?", values![id])
        .await?;
    row.map(|r| r.text("status")).transpose()
}

/// Id and status of all servers with a container to observe.
pub(crate) async fn followed(db: &Db) -> Result<Vec<(ServerId, ServerStatus)>> {
    let rows = db
        .query(
            "SELECT id, status FROM server WHERE launched_at IS NOT NULL \
             AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR') ORDER BY id",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok((
                r.text("id")?.into(),
                ServerStatus::from_stored(&r.text("status")?)?,
            ))
        })
        .collect()
}

/// Servers that wait for their host.
pub(crate) async fn waiting_for_host(db: &Db) -> Result<Vec<ServerId>> {
    let rows = db
        .query(
            "SELECT id FROM server WHERE trouble_since IS NOT NULL ORDER BY id",
            vec![],
        )
        .await?;
    rows.iter().map(|r| ServerId::read(r, "id")).collect()
}

pub(crate) async fn set_host(tx: &mut Tx, id: &ServerId, host: &str) -> Result<()> {
    tx.execute("UPDATE server SET host = ? WHERE id = ?", values![host, id])
        .await
        .map(|_| ())
}

/// No host can run a new server.
pub(crate) async fn set_unplaced(tx: &mut Tx, id: &ServerId, message: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, user_data = NULL \
         WHERE id = ? AND status = 'BUILD'",
        values![message, id],
    )
    .await
    .map(|_| ())
}

/// Stores what a server waits for; `trouble` is since when its host does not
/// answer.
pub(crate) async fn set_progress(
    tx: &mut Fenced,
    id: &ServerId,
    progress: Option<&str>,
    unavailable_since: Option<Timestamp>,
) -> Result<()> {
    tx.execute(
        "UPDATE server SET progress = ?, trouble_since = ? WHERE id = ?",
        values![progress, unavailable_since, id],
    )
    .await
    .map(|_| ())
}

/// Ends a successful build unless a removal has started; returns whether it
/// did. Deletes the user data, which contains one-time tokens.
pub(crate) async fn set_active(
    tx: &mut Fenced,
    id: &ServerId,
    addresses: &[Ipv4Addr],
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'ACTIVE', progress = NULL, trouble_since = NULL, user_data = NULL, \
             addresses = ?, launched_at = ? WHERE id = ? AND status = 'BUILD'",
            values![
                serde_json::to_string(addresses)?,
                clock::now(),
                id
            ],
        )
        .await?;
    Ok(n == 1)
}

/// Changes the status of a launched server (also from ERROR); returns whether
/// it did.
pub(crate) async fn set_status(
    tx: &mut Fenced,
    id: &ServerId,
    status: ServerStatus,
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = ?, fault_code = NULL, fault = NULL, progress = NULL, \
             trouble_since = NULL WHERE id = ? \
             AND launched_at IS NOT NULL AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR')",
            values![status.as_stored(), id],
        )
        .await?;
    Ok(n == 1)
}

/// Sets ERROR unless a removal has started; returns whether it did.
pub(crate) async fn set_fault(tx: &mut Fenced, id: &ServerId, message: &str) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, \
             trouble_since = NULL, user_data = NULL WHERE id = ? AND status <> 'DELETING'",
            values![message, id],
        )
        .await?;
    Ok(n == 1)
}

/// Ends a failed removal, which can be requested again.
pub(crate) async fn set_not_removed(tx: &mut Fenced, id: &ServerId, message: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, \
         trouble_since = NULL WHERE id = ? AND status = 'DELETING'",
        values![message, id],
    )
    .await
    .map(|_| ())
}

/// Starts a rebuild. A set `launched_at` means that objects of the previous
/// build are removed first.
pub(crate) async fn set_rebuild(
    tx: &mut Tx,
    id: &ServerId,
    user_data: &str,
    generation: Option<i64>,
) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'BUILD', progress = NULL, fault_code = NULL, fault = NULL, \
         trouble_since = NULL, user_data = ?, launched_at = COALESCE(launched_at, ?), build = build + 1, \
         rebuilt_generation = ? WHERE id = ?",
        values![user_data, clock::now(), generation, id],
    )
    .await
    .map(|_| ())
}

/// Starts the next build of a server whose container is unusable. As in a
/// rebuild, a set `launched_at` means that existing objects are removed first.
pub(crate) async fn set_replacement_build(
    tx: &mut Fenced,
    id: &ServerId,
    progress: &str,
) -> Result<()> {
    tx.execute(
        "UPDATE server SET progress = ?, launched_at = COALESCE(launched_at, ?), build = build + 1 \
         WHERE id = ? AND status = 'BUILD'",
        values![progress, clock::now(), id],
    )
    .await
    .map(|_| ())
}

/// Records that no objects of earlier builds remain on the host.
pub(crate) async fn set_cleared(tx: &mut Fenced, id: &ServerId) -> Result<()> {
    tx.execute(
        "UPDATE server SET launched_at = NULL WHERE id = ? AND status = 'BUILD'",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn set_deleting(tx: &mut Tx, id: &ServerId) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'DELETING', progress = NULL, trouble_since = NULL \
         WHERE id = ? AND status <> 'DELETING'",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Fenced, id: &ServerId) -> Result<()> {
    tx.execute("DELETE FROM server WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
