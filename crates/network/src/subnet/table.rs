//! SQL of subnets.

use db::{Column as _, Db, Fenced, Row, Table as _, Tx, values};
use ipnet::Ipv4Net;
use kernel::Result;

use super::model::SubnetRow;
use crate::{NetworkId, SubnetId};

pub(crate) async fn get(db: &Db, id: &SubnetId) -> Result<Option<SubnetRow>> {
    let sql = format!("{} WHERE id = ?", SubnetRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(SubnetRow::read).transpose()
}

pub(crate) async fn get_in(tx: &mut Tx, id: &SubnetId) -> Result<Option<SubnetRow>> {
    let sql = format!("{} WHERE id = ?", SubnetRow::select());
    let row = tx.query_opt(&sql, values![id]).await?;
    row.as_ref().map(SubnetRow::read).transpose()
}

pub(crate) async fn of_network(db: &Db, network_id: &NetworkId) -> Result<Vec<SubnetRow>> {
    let sql = format!("{} WHERE network_id = ?", SubnetRow::select());
    let rows = db.query(&sql, values![network_id]).await?;
    rows.iter().map(SubnetRow::read).collect()
}

pub(crate) async fn of_network_in(
    tx: &mut Tx,
    network_id: &NetworkId,
) -> Result<Option<SubnetRow>> {
    let sql = format!("{} WHERE network_id = ?", SubnetRow::select());
    let row = tx.query_opt(&sql, values![network_id]).await?;
    row.as_ref().map(SubnetRow::read).transpose()
}

const CIDRS: &str = "SELECT cidr FROM subnet";

/// The ranges of all subnets.
pub(crate) async fn cidrs(db: &Db) -> Result<Vec<Ipv4Net>> {
    parse_cidrs(&db.query(CIDRS, vec![]).await?)
}

/// [`cidrs`] within a transaction.
pub(crate) async fn cidrs_in(tx: &mut Tx) -> Result<Vec<Ipv4Net>> {
    parse_cidrs(&tx.query(CIDRS, vec![]).await?)
}

fn parse_cidrs(rows: &[Row]) -> Result<Vec<Ipv4Net>> {
    rows.iter().map(|row| Ipv4Net::read(row, "cidr")).collect()
}

pub(crate) async fn set_deleting(tx: &mut Tx, id: &SubnetId) -> Result<()> {
    tx.execute(
        "UPDATE subnet SET deleting = ? WHERE id = ?",
        values![true, id],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Fenced, id: &SubnetId) -> Result<()> {
    tx.execute("DELETE FROM subnet WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
