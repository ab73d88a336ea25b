//! SQL of images.

use db::{Db, Row, Tx, values};
use kernel::{Result, clock, ids};

use crate::face::{Image, NewImage};

const COLUMNS: &str = "SELECT id, name, os_distro, properties, reference FROM image";

fn image(row: &Row) -> Result<Image> {
    Ok(Image {
        id: row.text("id")?,
        name: row.text("name")?,
        status: "active".into(),
        os_distro: row.opt_text("os_distro")?,
        properties: serde_json::from_str(&row.text("properties")?)?,
        reference: row.text("reference")?,
    })
}

pub(super) async fn list(db: &Db) -> Result<Vec<Image>> {
    let rows = db
        .query(&format!("{COLUMNS} ORDER BY name"), vec![])
        .await?;
    rows.iter().map(image).collect()
}

/// By id or name, ids first.
pub(super) async fn find(db: &Db, id_or_name: &str) -> Result<Vec<Image>> {
    let rows = db
        .query(
            &format!("{COLUMNS} WHERE id = ? OR name = ?"),
            values![id_or_name, id_or_name],
        )
        .await?;
    rows.iter().map(image).collect()
}

/// Replaces what the name stands for, keeping its id.
pub(super) async fn put(tx: &mut Tx, new: &NewImage) -> Result<()> {
    let (properties, now) = (serde_json::to_string(&new.properties)?, clock::now_micros());
    let n = tx
        .execute(
            "UPDATE image SET os_distro = ?, properties = ?, reference = ?, updated_at = ? WHERE name = ?",
            values![
                new.os_distro.clone(),
                &properties,
                &new.reference,
                now,
                &new.name
            ],
        )
        .await?;
    if n > 0 {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO image (id, name, os_distro, properties, reference, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![
            ids::uuid(),
            &new.name,
            new.os_distro.clone(),
            &properties,
            &new.reference,
            now,
            now
        ],
    )
    .await
    .map(|_| ())
}
