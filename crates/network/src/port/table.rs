//! SQL of ports.

use std::net::Ipv4Addr;

use db::{Column as _, Db, Json, Row, Table as _, Tx, values};
use kernel::{OwnerKey, ProjectId, Result, Timestamp, clock};

use crate::api::{NewPort, Port, Status};
use crate::network::host_name;
use crate::network::model::owner_key;
use crate::{NetworkId, PortId, SubnetId};

db::table! {
    /// A row of a port.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct PortRow in "port" {
        pub id: PortId,
        pub project_id: ProjectId,
        pub network_id: NetworkId,
        pub subnet_id: SubnetId,
        pub name: String,
        pub ip: Ipv4Addr,
        pub ip_number: i64,
        pub mac: String,
        pub security_groups: Json<Vec<String>>,
        pub device_id: Option<String>,
        pub owner_kind: Option<String>,
        pub owner_id: Option<String>,
        pub created_at: Timestamp,
    }
}

/// A port has the status of its network, because it is realised with the
/// bridge.
fn select() -> String {
    let columns: Vec<String> = PortRow::COLUMNS
        .iter()
        .map(|c| format!("p.{c} AS {c}"))
        .collect();
    let columns = columns.join(", ");
    format!(
        "SELECT {columns}, n.status AS status FROM port p JOIN network n ON n.id = p.network_id"
    )
}

/// A port with its project.
pub(crate) struct Owned {
    pub project_id: ProjectId,
    pub port: Port,
}

fn port(row: &Row) -> Result<Owned> {
    let status = Status::read(row, "status")?;
    let row = PortRow::read(row)?;
    Ok(Owned {
        project_id: row.project_id,
        port: Port {
            id: row.id,
            host_network: host_name(&row.network_id),
            network_id: row.network_id,
            subnet_id: row.subnet_id,
            name: row.name,
            ip: row.ip,
            mac: row.mac,
            status,
            device_id: row.device_id,
        },
    })
}

pub(crate) async fn insert(
    tx: &mut Tx,
    new: &NewPort,
    subnet_id: &SubnetId,
    ip: Ipv4Addr,
    mac: String,
) -> Result<()> {
    let row = PortRow {
        id: new.id.clone(),
        project_id: new.project_id.clone(),
        network_id: new.network_id.clone(),
        subnet_id: subnet_id.clone(),
        name: new.name.clone(),
        ip,
        ip_number: i64::from(u32::from(ip)),
        mac,
        security_groups: Json(new.security_groups.clone()),
        device_id: new.device_id.clone(),
        owner_kind: new.owner.as_ref().map(|o| o.kind.clone()),
        owner_id: new.owner.as_ref().map(|o| o.id.clone()),
        created_at: clock::now(),
    };
    row.insert(tx).await
}

pub(crate) async fn get(db: &Db, id: &PortId) -> Result<Option<Owned>> {
    let row = db
        .query_opt(&format!("{} WHERE p.id = ?", select()), values![id])
        .await?;
    row.as_ref().map(port).transpose()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &PortId) -> Result<Option<Owned>> {
    let row = tx
        .query_opt(&format!("{} WHERE p.id = ?", select()), values![id])
        .await?;
    row.as_ref().map(port).transpose()
}

pub(crate) async fn of_device(db: &Db, device_id: &str) -> Result<Vec<Owned>> {
    let rows = db
        .query(
            &format!(
                "{} WHERE p.device_id = ? ORDER BY p.created_at, p.id",
                select()
            ),
            values![device_id],
        )
        .await?;
    rows.iter().map(port).collect()
}

/// Addresses in use, ascending.
pub(crate) async fn taken(tx: &mut Tx, network_id: &NetworkId) -> Result<Vec<u32>> {
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

pub(crate) async fn bind(
    tx: &mut Tx,
    id: &PortId,
    device_id: &str,
    owner: &OwnerKey,
) -> Result<()> {
    tx.execute(
        "UPDATE port SET device_id = ?, owner_kind = ?, owner_id = ? WHERE id = ?",
        values![device_id, &owner.kind, &owner.id, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn unbind(tx: &mut Tx, id: &PortId, device_id: &str) -> Result<()> {
    tx.execute(
        "UPDATE port SET device_id = NULL, owner_kind = NULL, owner_id = NULL WHERE id = ? AND device_id = ?",
        values![id, device_id],
    )
    .await
    .map(|_| ())
}

/// Owners that wait for the ports of a network.
pub(crate) async fn owners(tx: &mut Tx, network_id: &NetworkId) -> Result<Vec<OwnerKey>> {
    let rows = tx
        .query(
            "SELECT DISTINCT owner_kind, owner_id FROM port WHERE network_id = ? AND owner_kind IS NOT NULL",
            values![network_id],
        )
        .await?;
    let mut out = Vec::new();
    for row in rows {
        let (kind, id) = (row.opt_text("owner_kind")?, row.opt_text("owner_id")?);
        out.extend(owner_key(kind.as_ref(), id.as_ref()));
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

/// Names of the ports of a network, for display.
pub(crate) async fn names(db: &Db, network_id: &NetworkId) -> Result<Vec<String>> {
    names_of(&db.query(NAMES, values![network_id]).await?)
}

pub(crate) async fn names_in(tx: &mut Tx, network_id: &NetworkId) -> Result<Vec<String>> {
    names_of(&tx.query(NAMES, values![network_id]).await?)
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &PortId) -> Result<()> {
    tx.execute("DELETE FROM port WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
