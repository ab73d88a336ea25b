//! SQL of hosts.

use db::{Column as _, Db, Table as _, Tx, values};
use infra::{HostInfo, Isolation, OfferedIsolation};
use kernel::{Result, clock};

use super::model::{HostRow, ResourceRequest};

pub(super) async fn all(tx: &mut Tx) -> Result<Vec<HostRow>> {
    let sql = format!("{} ORDER BY name", HostRow::select());
    let rows = tx.query(&sql, vec![]).await?;
    rows.iter().map(HostRow::read).collect()
}

/// The isolation levels that the hosts offer.
pub(super) async fn offered(db: &Db) -> Result<Vec<OfferedIsolation>> {
    let sql = "SELECT isolation, isolation_missing FROM host ORDER BY name";
    let rows = db.query(sql, vec![]).await?;
    rows.iter()
        .map(|r| {
            Ok(OfferedIsolation {
                level: Isolation::read(r, "isolation")?,
                missing: r.opt_text("isolation_missing")?,
            })
        })
        .collect()
}

/// The hosts with objects of ours.
pub(super) async fn in_use(tx: &mut Tx) -> Result<Vec<String>> {
    let rows = tx
        .query("SELECT DISTINCT host FROM ledger ORDER BY host", vec![])
        .await?;
    rows.iter().map(|r| r.text("host")).collect()
}

pub(super) async fn insert(tx: &mut Tx, info: &HostInfo) -> Result<()> {
    let row = HostRow {
        name: info.name.clone(),
        vcpus: info.cpus,
        ram: info.memory >> 20,
        vcpus_used: 0,
        ram_used: 0,
        version: info.version.clone(),
        seen_at: clock::now(),
        engine_id: Some(info.engine_id.clone()).filter(|id| !id.is_empty()),
        isolation: info.isolation.level,
        isolation_missing: info.isolation.missing.clone(),
    };
    row.insert(tx).await
}

/// Stores the properties of a host; its claims are kept.
pub(super) async fn update(tx: &mut Tx, name: &str, info: &HostInfo) -> Result<()> {
    tx.execute(
        "UPDATE host SET vcpus = ?, ram = ?, version = ?, seen_at = ?, engine_id = ?, isolation = ?, \
         isolation_missing = ? WHERE name = ?",
        values![
            info.cpus,
            info.memory >> 20,
            &info.version,
            clock::now(),
            Some(info.engine_id.clone()).filter(|id| !id.is_empty()),
            info.isolation.level.as_stored(),
            info.isolation.missing.clone(),
            name
        ],
    )
    .await
    .map(|_| ())
}

pub(super) async fn drop_row(tx: &mut Tx, name: &str) -> Result<()> {
    tx.execute("DELETE FROM host WHERE name = ?", values![name])
        .await
        .map(|_| ())
}

/// Claims capacity of a host unless that exceeds its limits; returns whether it
/// did. A single statement, so that two claims cannot both take the last
/// capacity.
pub(super) async fn claim(
    tx: &mut Tx,
    name: &str,
    resource_request: ResourceRequest,
    limits: (i64, i64),
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE host SET vcpus_used = vcpus_used + ?, ram_used = ram_used + ? \
             WHERE name = ? AND vcpus_used + ? <= ? AND ram_used + ? <= ?",
            values![
                resource_request.vcpus,
                resource_request.ram,
                name,
                resource_request.vcpus,
                limits.0,
                resource_request.ram,
                limits.1
            ],
        )
        .await?;
    Ok(n == 1)
}

/// Releases claimed capacity.
pub(crate) async fn release(
    tx: &mut Tx,
    name: &str,
    resource_request: ResourceRequest,
) -> Result<()> {
    tx.execute(
        "UPDATE host SET vcpus_used = vcpus_used - ?, ram_used = ram_used - ? WHERE name = ?",
        values![resource_request.vcpus, resource_request.ram, name],
    )
    .await
    .map(|_| ())
}
