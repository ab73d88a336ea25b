//! SQL of networks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use db::{Db, Row, Tx, values};
use kernel::{Error, OwnerKey, Result, clock};

use super::model::{Net, status_of, status_word};
use crate::face::{NewNetwork, Status};

const COLUMNS: &str = "SELECT id, project_id, name, is_external, status, status_reason, changed_at, \
                       owner_kind, owner_id FROM network";

pub(crate) fn owner(row: &Row) -> Result<Option<OwnerKey>> {
    let (kind, id) = (row.opt_text("owner_kind")?, row.opt_text("owner_id")?);
    Ok(kind.zip(id).map(|(kind, id)| OwnerKey { kind, id }))
}

fn net(row: &Row) -> Result<Net> {
    Ok(Net {
        id: row.text("id")?,
        project_id: row.text("project_id")?,
        name: row.text("name")?,
        external: row.flag("is_external")?,
        status: status_of(&row.text("status")?),
        status_reason: row.opt_text("status_reason")?,
        changed_at: row.int("changed_at")?,
        owner: owner(row)?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, new: &NewNetwork) -> Result<()> {
    let now = clock::now_micros();
    let (kind, owner_id) = match &new.owner {
        Some(o) => (Some(o.kind.clone()), Some(o.id.clone())),
        None => (None, None),
    };
    tx.execute(
        "INSERT INTO network (id, project_id, name, is_external, status, status_reason, changed_at, \
         owner_kind, owner_id, created_at) VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)",
        values![
            &new.id,
            &new.project_id,
            &new.name,
            new.external,
            status_word(Status::Active),
            now,
            kind,
            owner_id,
            now
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<Net>> {
    let row = db
        .query_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref().map(net).transpose()
}

/// Reads the row and keeps other writers of this network (and of what is in
/// it) out until the commit: who counts or binds ports must not miss one.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Net> {
    let row = tx
        .lock_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref()
        .map(net)
        .transpose()?
        .ok_or_else(|| Error::not_found("Network", id))
}

pub(crate) async fn get_in(tx: &mut Tx, id: &str) -> Result<Net> {
    let row = tx
        .query_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref()
        .map(net)
        .transpose()?
        .ok_or_else(|| Error::not_found("Network", id))
}

pub(crate) async fn named(db: &Db, name: &str) -> Result<Vec<Net>> {
    let rows = db
        .query(
            &format!("{COLUMNS} WHERE name = ? ORDER BY id"),
            values![name],
        )
        .await?;
    rows.iter().map(net).collect()
}

pub(crate) async fn ids(db: &Db) -> Result<Vec<(String, Status)>> {
    let rows = db
        .query(
            "SELECT n.id AS id, n.status AS status FROM network n JOIN subnet s ON s.network_id = n.id",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| Ok((r.text("id")?, status_of(&r.text("status")?))))
        .collect()
}

/// Sets the status unless a removal has begun meanwhile; whether it did.
pub(crate) async fn set_status(
    tx: &mut Tx,
    id: &str,
    status: Status,
    reason: Option<&str>,
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE network SET status = ?, status_reason = ?, changed_at = ? WHERE id = ? AND status <> 'DELETING'",
            values![status_word(status), reason, clock::now_micros(), id],
        )
        .await?;
    Ok(n == 1)
}

/// What a build or a removal is waiting for.
pub(crate) async fn set_reason(tx: &mut Tx, id: &str, reason: &str) -> Result<()> {
    tx.execute(
        "UPDATE network SET status_reason = ? WHERE id = ?",
        values![reason, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
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
    let mut out = BTreeSet::new();
    for row in rows {
        out.extend(row.text("gateway_ip")?.parse::<Ipv4Addr>().ok());
    }
    Ok(out)
}
