//! SQL of networks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use db::{Column as _, Db, Fenced, Table as _, Tx, values};
use kernel::{Error, Result, clock};

use super::model::NetworkRow;
use crate::NetworkId;
use crate::api::{NewNetwork, Status};

pub(crate) async fn insert(tx: &mut Tx, new: &NewNetwork) -> Result<NetworkRow> {
    let now = clock::now();
    let row = NetworkRow {
        id: new.id.clone(),
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        is_external: new.external,
        status: Status::Active,
        status_reason: None,
        changed_at: now,
        owner_kind: new.owner.as_ref().map(|o| o.kind.clone()),
        owner_id: new.owner.as_ref().map(|o| o.id.clone()),
        created_at: now,
        build: 0,
    };
    row.insert(tx).await?;
    Ok(row)
}

pub(crate) async fn get(db: &Db, id: &NetworkId) -> Result<Option<NetworkRow>> {
    let sql = format!("{} WHERE id = ?", NetworkRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(NetworkRow::read).transpose()
}

/// Reads and locks the row against other writers of this network and its
/// contents until the commit, so that no port is missed while ports are counted
/// or bound.
pub(crate) async fn lock(tx: &mut Tx, id: &NetworkId) -> Result<NetworkRow> {
    let sql = format!("{} WHERE id = ?", NetworkRow::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref()
        .map(NetworkRow::read)
        .transpose()?
        .ok_or_else(|| Error::not_found("Network", id))
}

pub(crate) async fn named(db: &Db, name: &str) -> Result<Vec<NetworkRow>> {
    let sql = format!("{} WHERE name = ? ORDER BY id", NetworkRow::select());
    let rows = db.query(&sql, values![name]).await?;
    rows.iter().map(NetworkRow::read).collect()
}

/// The networks that have, or had, a bridge, with builds and stored statuses.
pub(crate) async fn realised(db: &Db) -> Result<BTreeMap<NetworkId, (i64, String)>> {
    let rows = db
        .query(
            "SELECT n.id AS id, n.build AS build, n.status AS status FROM network n \
             JOIN subnet s ON s.network_id = n.id",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| Ok((r.text("id")?.into(), (r.int("build")?, r.text("status")?))))
        .collect()
}

/// Networks whose reconciler waits for the engine.
pub(crate) async fn waiting(db: &Db) -> Result<Vec<NetworkId>> {
    let rows = db
        .query(
            "SELECT n.id AS id FROM network n JOIN subnet s ON s.network_id = n.id \
             WHERE n.status IN ('BUILD', 'DELETING') OR s.deleting = ? ORDER BY n.id",
            values![true],
        )
        .await?;
    rows.iter().map(|r| NetworkId::read(r, "id")).collect()
}

/// Whether the network waits for its bridge to lose its last container.
pub(crate) async fn is_being_removed(db: &Db, id: &NetworkId) -> Result<bool> {
    let row = db
        .query_opt(
            "SELECT n.id AS id FROM network n LEFT JOIN subnet s ON s.network_id = n.id \
             WHERE n.id = ? AND (n.status = 'DELETING' OR s.deleting = ?)",
            values![id, true],
        )
        .await?;
    Ok(row.is_some())
}

/// Starts the build of the next bridge of the network.
pub(crate) async fn begin_build(tx: &mut Tx, id: &NetworkId) -> Result<()> {
    tx.execute(
        "UPDATE network SET status = 'BUILD', status_reason = NULL, changed_at = ?, build = build + 1 \
         WHERE id = ?",
        values![clock::now(), id],
    )
    .await
    .map(|_| ())
}

/// Starts the removal of the network or of its subnet.
pub(crate) async fn begin_removal(tx: &mut Tx, id: &NetworkId, whole: bool) -> Result<()> {
    let status = if whole { "'DELETING'" } else { "status" };
    tx.execute(
        &format!(
            "UPDATE network SET status = {status}, status_reason = NULL, changed_at = ? \
             WHERE id = ? AND status <> 'DELETING'"
        ),
        values![clock::now(), id],
    )
    .await
    .map(|_| ())
}

/// Sets the status unless a removal has started; returns whether it did.
pub(crate) async fn set_status(
    tx: &mut Fenced,
    id: &NetworkId,
    status: Status,
    reason: Option<&str>,
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE network SET status = ?, status_reason = ?, changed_at = ? WHERE id = ? AND status <> 'DELETING'",
            values![status.as_stored(), reason, clock::now(), id],
        )
        .await?;
    Ok(n == 1)
}

/// Stores what a build or a removal waits for.
pub(crate) async fn set_reason(tx: &mut Fenced, id: &NetworkId, reason: &str) -> Result<()> {
    tx.execute(
        "UPDATE network SET status_reason = ? WHERE id = ?",
        values![reason, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Fenced, id: &NetworkId) -> Result<()> {
    tx.execute("DELETE FROM network WHERE id = ?", values![id])
        .await
        .map(|_| ())
}

pub(crate) async fn gateways(db: &Db) -> Result<BTreeSet<Ipv4Addr>> {
    let rows = db
        .query(
            "SELECT s.gateway_ip AS gateway_ip FROM subnet s JOIN network n ON n.id = s.network_id \
             WHERE n.status = 'ACTIVE'",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|row| Ipv4Addr::read(row, "gateway_ip"))
        .collect()
}
