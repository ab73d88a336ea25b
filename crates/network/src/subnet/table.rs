//! SQL of subnets.

use db::{Db, Row, Tx, values};
use ipnet::Ipv4Net;
use kernel::{Result, clock};

use super::model::Sub;
use crate::network::table::owner;

const COLUMNS: &str = "SELECT id, project_id, network_id, name, cidr, gateway_ip, dns, deleting, \
                       owner_kind, owner_id FROM subnet";

fn sub(row: &Row) -> Result<Sub> {
    Ok(Sub {
        id: row.text("id")?,
        project_id: row.text("project_id")?,
        network_id: row.text("network_id")?,
        name: row.text("name")?,
        cidr: row.text("cidr")?,
        gateway_ip: row.text("gateway_ip")?,
        dns: serde_json::from_str(&row.text("dns")?)?,
        deleting: row.flag("deleting")?,
        owner: owner(row)?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, s: &Sub) -> Result<()> {
    tx.execute(
        "INSERT INTO subnet (id, project_id, network_id, name, cidr, gateway_ip, dns, deleting, \
         owner_kind, owner_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &s.id,
            &s.project_id,
            &s.network_id,
            &s.name,
            &s.cidr,
            &s.gateway_ip,
            serde_json::to_string(&s.dns)?,
            s.deleting,
            s.owner.as_ref().map(|o| o.kind.clone()),
            s.owner.as_ref().map(|o| o.id.clone()),
            clock::now_micros()
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<Sub>> {
    let row = db
        .query_opt(&format!("{COLUMNS} WHERE id = ?"), values![id])
        .await?;
    row.as_ref().map(sub).transpose()
}

pub(crate) async fn of_network(db: &Db, network_id: &str) -> Result<Vec<Sub>> {
    let rows = db
        .query(
            &format!("{COLUMNS} WHERE network_id = ?"),
            values![network_id],
        )
        .await?;
    rows.iter().map(sub).collect()
}

pub(crate) async fn of_network_in(tx: &mut Tx, network_id: &str) -> Result<Option<Sub>> {
    let row = tx
        .query_opt(
            &format!("{COLUMNS} WHERE network_id = ?"),
            values![network_id],
        )
        .await?;
    row.as_ref().map(sub).transpose()
}

/// All subnets' addresses.
pub(crate) async fn cidrs(tx: &mut Tx) -> Result<Vec<Ipv4Net>> {
    let rows = tx.query("SELECT cidr FROM subnet", vec![]).await?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        out.extend(row.text("cidr")?.parse::<Ipv4Net>().ok());
    }
    Ok(out)
}

pub(crate) async fn set_deleting(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "UPDATE subnet SET deleting = ? WHERE id = ?",
        values![true, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM subnet WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
