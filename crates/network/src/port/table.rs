//! SQL of ports.

use std::net::Ipv4Addr;

use db::{Db, Row, Tx, values};
use kernel::{OwnerKey, Result, clock};

use crate::face::{NewPort, Port};
use crate::network::host_name;
use crate::network::model::status_of;
use crate::network::table::owner;

/// A port has the status of its network: it is realised with the bridge.
const COLUMNS: &str = "SELECT p.id AS id, p.project_id AS project_id, p.network_id AS network_id, \
    p.subnet_id AS subnet_id, p.name AS name, p.ip AS ip, p.mac AS mac, p.device_id AS device_id, \
    n.status AS status FROM port p JOIN network n ON n.id = p.network_id";

/// A port with the project that owns it.
pub(crate) struct Owned {
    pub project_id: String,
    pub port: Port,
}

fn port(row: &Row) -> Result<Owned> {
    let network_id = row.text("network_id")?;
    Ok(Owned {
        project_id: row.text("project_id")?,
        port: Port {
            id: row.text("id")?,
            host_network: host_name(&network_id),
            network_id,
            subnet_id: row.text("subnet_id")?,
            name: row.text("name")?,
            ip: row.text("ip")?,
            mac: row.text("mac")?,
            status: status_of(&row.text("status")?),
            device_id: row.opt_text("device_id")?,
        },
    })
}

pub(crate) async fn insert(
    tx: &mut Tx,
    new: &NewPort,
    subnet_id: &str,
    ip: Ipv4Addr,
    mac: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO port (id, project_id, network_id, subnet_id, name, ip, ip_number, mac, security_groups, \
         device_id, owner_kind, owner_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &new.id,
            &new.project_id,
            &new.network_id,
            subnet_id,
            &new.name,
            ip.to_string(),
            i64::from(u32::from(ip)),
            mac,
            serde_json::to_string(&new.security_groups)?,
            new.device_id.clone(),
            new.owner.as_ref().map(|o| o.kind.clone()),
            new.owner.as_ref().map(|o| o.id.clone()),
            clock::now_micros()
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<Owned>> {
    let row = db
        .query_opt(&format!("{COLUMNS} WHERE p.id = ?"), values![id])
        .await?;
    row.as_ref().map(port).transpose()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &str) -> Result<Option<Owned>> {
    let row = tx
        .query_opt(&format!("{COLUMNS} WHERE p.id = ?"), values![id])
        .await?;
    row.as_ref().map(port).transpose()
}

pub(crate) async fn of_device(db: &Db, device_id: &str) -> Result<Vec<Owned>> {
    let rows = db
        .query(
            &format!("{COLUMNS} WHERE p.device_id = ? ORDER BY p.created_at, p.id"),
            values![device_id],
        )
        .await?;
    rows.iter().map(port).collect()
}

/// Addresses in use, ascending.
pub(crate) async fn taken(tx: &mut Tx, network_id: &str) -> Result<Vec<u32>> {
    let rows = tx
        .query(
            "SELECT ip_number FROM port WHERE network_id = ? ORDER BY ip_number",
            values![network_id],
        )
        .await?;
    rows.iter()
        .map(|r| Ok(u32::try_from(r.int("ip_number")?).unwrap_or(u32::MAX)))
        .collect()
}

pub(crate) async fn bind(tx: &mut Tx, id: &str, device_id: &str, owner: &OwnerKey) -> Result<()> {
    tx.execute(
        "UPDATE port SET device_id = ?, owner_kind = ?, owner_id = ? WHERE id = ?",
        values![device_id, &owner.kind, &owner.id, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn unbind(tx: &mut Tx, id: &str, device_id: &str) -> Result<()> {
    tx.execute(
        "UPDATE port SET device_id = NULL, owner_kind = NULL, owner_id = NULL WHERE id = ? AND device_id = ?",
        values![id, device_id],
    )
    .await
    .map(|_| ())
}

/// Who waits for the ports of a network.
pub(crate) async fn owners(tx: &mut Tx, network_id: &str) -> Result<Vec<OwnerKey>> {
    let rows = tx
        .query(
            "SELECT DISTINCT owner_kind, owner_id FROM port WHERE network_id = ? AND owner_kind IS NOT NULL",
            values![network_id],
        )
        .await?;
    let mut out = Vec::new();
    for row in rows {
        out.extend(owner(&row)?);
    }
    Ok(out)
}

const NAMES: &str =
    "SELECT id, name, device_id FROM port WHERE network_id = ? ORDER BY created_at, id";

fn names_of(rows: &[Row]) -> Result<Vec<String>> {
    rows.iter()
        .map(|r| {
            let name = Some(r.text("name")?).filter(|n| !n.is_empty());
            let what = name.map_or_else(|| r.text("id"), Ok)?;
            Ok(match r.opt_text("device_id")? {
                Some(device) => format!("{what} (of server {device})"),
                None => what,
            })
        })
        .collect()
}

/// The ports of a network as people know them.
pub(crate) async fn names(db: &Db, network_id: &str) -> Result<Vec<String>> {
    names_of(&db.query(NAMES, values![network_id]).await?)
}

pub(crate) async fn names_in(tx: &mut Tx, network_id: &str) -> Result<Vec<String>> {
    names_of(&tx.query(NAMES, values![network_id]).await?)
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM port WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
