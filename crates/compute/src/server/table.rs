//! SQL of servers.

use db::{Db, Row, Tx, values};
use kernel::{Error, OwnerKey, Result, clock};

use super::model::{Srv, status_of, status_word};
use crate::face::{Fault, ServerStatus};
use crate::host::Ask;
use crate::image::{flavour_of, flavour_word};

const COLUMNS: &str = "SELECT id, project_id, name, status, progress, fault_code, fault, image_id, reference, \
    is_node, flavour, flavor_id, vcpus, ram, host, networks, addresses, user_data, metadata, trouble_since, \
    launched_at, owner_kind, owner_id FROM server";

fn srv(row: &Row) -> Result<Srv> {
    let owner = row
        .opt_text("owner_kind")?
        .zip(row.opt_text("owner_id")?)
        .map(|(kind, id)| OwnerKey { kind, id });
    let fault = row
        .opt_text("fault")?
        .map(|message| Fault { code: 500, message });
    Ok(Srv {
        id: row.text("id")?,
        project_id: row.text("project_id")?,
        name: row.text("name")?,
        status: status_of(&row.text("status")?),
        progress: row.opt_text("progress")?,
        fault,
        image_id: row.text("image_id")?,
        reference: row.text("reference")?,
        node: row.flag("is_node")?,
        flavour: flavour_of(&row.text("flavour")?)
            .ok_or_else(|| Error::internal("a server of an unknown flavour"))?,
        flavor_id: row.text("flavor_id")?,
        ask: Ask {
            vcpus: row.int("vcpus")?,
            ram: row.int("ram")?,
        },
        host: row.opt_text("host")?,
        nics: serde_json::from_str(&row.text("networks")?)?,
        addresses: serde_json::from_str(&row.text("addresses")?)?,
        user_data: row.opt_text("user_data")?,
        metadata: serde_json::from_str(&row.text("metadata")?)?,
        trouble_since: row.opt_int("trouble_since")?,
        launched_at: row.opt_int("launched_at")?,
        owner,
    })
}

pub(crate) async fn insert(tx: &mut Tx, s: &Srv, user_id: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO server (id, project_id, user_id, name, status, progress, fault_code, fault, image_id, \
         reference, is_node, flavour, flavor_id, vcpus, ram, host, networks, addresses, user_data, metadata, \
         trouble_since, launched_at, owner_kind, owner_id, created_at) \
         VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?, ?, ?, ?, ?, ?, NULL, ?, '[]', ?, ?, NULL, NULL, ?, ?, ?)",
        values![
            &s.id,
            &s.project_id,
            user_id,
            &s.name,
            status_word(s.status),
            &s.image_id,
            &s.reference,
            s.node,
            flavour_word(s.flavour),
            &s.flavor_id,
            s.ask.vcpus,
            s.ask.ram,
            serde_json::to_string(&s.nics)?,
            s.user_data.clone(),
            serde_json::to_string(&s.metadata)?,
            s.owner.as_ref().map(|o| o.kind.clone()),
            s.owner.as_ref().map(|o| o.id.clone()),
            clock::now_micros()
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<Srv>> {
    let row = db
        .query_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref().map(srv).transpose()
}

/// The servers of an owner, by name.
pub(crate) async fn of_owner(db: &Db, owner: &OwnerKey) -> Result<Vec<Srv>> {
    let sql = format!("{COLUMNS} WHERE owner_kind = ? AND owner_id = ? ORDER BY name");
    let rows = db.query(&sql, values![&owner.kind, &owner.id]).await?;
    rows.iter().map(srv).collect()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &str) -> Result<Option<Srv>> {
    let row = tx
        .query_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref().map(srv).transpose()
}

pub(crate) async fn status(db: &Db, id: &str) -> Result<Option<ServerStatus>> {
    let row = db
        .query_opt("SELECT status FROM server WHERE id = ?", values![id])
        .await?;
    row.map(|r| Ok(status_of(&r.text("status")?))).transpose()
}

/// Id and status of all servers that have a container to follow.
pub(crate) async fn followed(db: &Db) -> Result<Vec<(String, ServerStatus)>> {
    let rows = db
        .query(
            "SELECT id, status FROM server WHERE launched_at IS NOT NULL \
             AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR')",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| Ok((r.text("id")?, status_of(&r.text("status")?))))
        .collect()
}

pub(crate) async fn set_host(tx: &mut Tx, id: &str, host: &str) -> Result<()> {
    tx.execute("UPDATE server SET host = ? WHERE id = ?", values![host, id])
        .await
        .map(|_| ())
}

/// What a build or a removal is doing; `trouble` is since when its host has
/// not answered.
pub(crate) async fn set_progress(
    tx: &mut Tx,
    id: &str,
    progress: &str,
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
pub(crate) async fn set_active(tx: &mut Tx, id: &str, addresses: &[String]) -> Result<bool> {
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
pub(crate) async fn set_status(tx: &mut Tx, id: &str, status: ServerStatus) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = ?, fault_code = NULL, fault = NULL WHERE id = ? \
             AND launched_at IS NOT NULL AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR')",
            values![status_word(status), id],
        )
        .await?;
    Ok(n == 1)
}

/// Ends in ERROR unless a removal has begun; whether it did.
pub(crate) async fn set_fault(tx: &mut Tx, id: &str, message: &str) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'ERROR', fault_code = 500, fault = ?, progress = NULL, user_data = NULL \
             WHERE id = ? AND status <> 'DELETING'",
            values![message, id],
        )
        .await?;
    Ok(n == 1)
}

/// Begins a build of a server that was there before; `false`: it is being
/// removed, or built. That `launched_at` stays tells that what it left on its
/// host goes first.
pub(crate) async fn set_rebuild(tx: &mut Tx, id: &str, user_data: &str) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE server SET status = 'BUILD', progress = NULL, fault_code = NULL, fault = NULL, \
             trouble_since = NULL, user_data = ?, launched_at = COALESCE(launched_at, ?) \
             WHERE id = ? AND status IN ('ACTIVE', 'SHUTOFF', 'PAUSED', 'ERROR')",
            values![user_data, clock::now_micros(), id],
        )
        .await?;
    Ok(n == 1)
}

/// Nothing of it is left on its host.
pub(crate) async fn set_cleared(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET launched_at = NULL WHERE id = ? AND status = 'BUILD'",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn set_deleting(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "UPDATE server SET status = 'DELETING', progress = NULL, trouble_since = NULL WHERE id = ?",
        values![id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM server WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
