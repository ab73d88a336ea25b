//! SQL of hosts.

use db::{Tx, values};
use infra::HostInfo;
use kernel::{Result, clock};

use super::model::{Ask, Host};

pub(super) async fn all(tx: &mut Tx) -> Result<Vec<Host>> {
    let rows = tx
        .query(
            "SELECT name, vcpus, ram, vcpus_used, ram_used FROM host ORDER BY name",
            vec![],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok(Host {
                name: r.text("name")?,
                vcpus: r.int("vcpus")?,
                ram: r.int("ram")?,
                vcpus_used: r.int("vcpus_used")?,
                ram_used: r.int("ram_used")?,
            })
        })
        .collect()
}

/// Writes what a host says of itself; its claims stay.
pub(super) async fn put(tx: &mut Tx, info: &HostInfo) -> Result<()> {
    let (ram, now) = (info.memory >> 20, clock::now_micros());
    let n = tx
        .execute(
            "UPDATE host SET vcpus = ?, ram = ?, version = ?, seen_at = ? WHERE name = ?",
            values![info.cpus, ram, &info.version, now, &info.name],
        )
        .await?;
    if n > 0 {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO host (name, vcpus, ram, vcpus_used, ram_used, version, seen_at) VALUES (?, ?, ?, 0, 0, ?, ?)",
        values![&info.name, info.cpus, ram, &info.version, now],
    )
    .await
    .map(|_| ())
}

/// Takes a share of a host unless that would exceed its limits; whether it
/// did. One statement: two claims never both take the last share.
pub(super) async fn claim(tx: &mut Tx, name: &str, ask: Ask, limits: (i64, i64)) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE host SET vcpus_used = vcpus_used + ?, ram_used = ram_used + ? \
             WHERE name = ? AND vcpus_used + ? <= ? AND ram_used + ? <= ?",
            values![
                ask.vcpus, ask.ram, name, ask.vcpus, limits.0, ask.ram, limits.1
            ],
        )
        .await?;
    Ok(n == 1)
}

/// Gives a share back.
pub(crate) async fn release(tx: &mut Tx, name: &str, ask: Ask) -> Result<()> {
    tx.execute(
        "UPDATE host SET vcpus_used = vcpus_used - ?, ram_used = ram_used - ? WHERE name = ?",
        values![ask.vcpus, ask.ram, name],
    )
    .await
    .map(|_| ())
}
