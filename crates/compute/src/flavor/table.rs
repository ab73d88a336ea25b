//! SQL of flavors.

use db::{Db, Row, values};
use kernel::{Kind, Result};

use crate::face::Flavor;

/// Id, name, vCPUs, MiB, GiB: as Nova's own installers seed them, with the
/// sizes of containers.
const SEED: [(&str, &str, i64, i64, i64); 4] = [
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
];

fn flavor(row: &Row) -> Result<Flavor> {
    Ok(Flavor {
        id: row.text("id")?,
        name: row.text("name")?,
        vcpus: row.int("vcpus")?,
        ram: row.int("ram")?,
        disk: row.int("disk")?,
    })
}

/// Makes the seeded flavors that are not there.
///
/// # Errors
/// As the database.
pub(crate) async fn seed(db: &Db) -> Result<()> {
    let known = list(db).await?;
    for (id, name, vcpus, ram, disk) in SEED {
        if known.iter().any(|f| f.id == id || f.name == name) {
            continue;
        }
        let mut tx = db.begin().await?;
        let made = tx
            .execute(
                "INSERT INTO flavor (id, name, vcpus, ram, disk) VALUES (?, ?, ?, ?, ?)",
                values![id, name, vcpus, ram, disk],
            )
            .await;
        match made {
            Ok(_) => tx.commit().await?,
            // Another server was faster.
            Err(e) if e.kind == Kind::AlreadyExists => drop(tx),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

pub(super) async fn list(db: &Db) -> Result<Vec<Flavor>> {
    let rows = db
        .query(
            "SELECT id, name, vcpus, ram, disk FROM flavor ORDER BY ram, name",
            vec![],
        )
        .await?;
    rows.iter().map(flavor).collect()
}

pub(super) async fn find(db: &Db, id_or_name: &str) -> Result<Option<Flavor>> {
    let rows = db
        .query(
            "SELECT id, name, vcpus, ram, disk FROM flavor WHERE id = ? OR name = ?",
            values![id_or_name, id_or_name],
        )
        .await?;
    let mut found: Vec<Flavor> = rows.iter().map(flavor).collect::<Result<_>>()?;
    // An id wins over another flavor's name.
    found.sort_by_key(|f| f.id != id_or_name);
    Ok(found.into_iter().next())
}
