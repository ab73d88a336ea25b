//! SQL of images.

use std::collections::BTreeMap;

use db::{Db, Json, Table as _, Tx, values};
use kernel::{Result, Timestamp, clock};

use crate::ImageId;
use crate::api::{Image, NewImage};

db::table! {
    /// A row of an image.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct ImageRow in "image" {
        pub id: ImageId,
        pub name: String,
        pub os_distro: Option<String>,
        pub properties: Json<BTreeMap<String, String>>,
        pub reference: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

impl ImageRow {
    fn shown(self) -> Image {
        Image {
            id: self.id,
            name: self.name,
            status: "active".into(),
            os_distro: self.os_distro,
            properties: self.properties.0,
            reference: self.reference,
        }
    }
}

pub(super) async fn list(db: &Db) -> Result<Vec<Image>> {
    let sql = format!("{} ORDER BY name", ImageRow::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter()
        .map(|r| ImageRow::read(r).map(ImageRow::shown))
        .collect()
}

/// By id or name.
pub(super) async fn find(db: &Db, id_or_name: &str) -> Result<Vec<Image>> {
    let sql = format!("{} WHERE id = ? OR name = ?", ImageRow::select());
    let rows = db.query(&sql, values![id_or_name, id_or_name]).await?;
    rows.iter()
        .map(|r| ImageRow::read(r).map(ImageRow::shown))
        .collect()
}

/// Replaces the image of a name, keeping its id.
pub(super) async fn put(tx: &mut Tx, new: &NewImage) -> Result<()> {
    let now = clock::now();
    let n = tx
        .execute(
            "UPDATE image SET os_distro = ?, properties = ?, reference = ?, updated_at = ? WHERE name = ?",
            values![
                new.os_distro.clone(),
                serde_json::to_string(&new.properties)?,
                &new.reference,
                now,
                &new.name
            ],
        )
        .await?;
    if n > 0 {
        return Ok(());
    }
    let row = ImageRow {
        id: ImageId::random(),
        name: new.name.clone(),
        os_distro: new.os_distro.clone(),
        properties: Json(new.properties.clone()),
        reference: new.reference.clone(),
        created_at: now,
        updated_at: now,
    };
    row.insert(tx).await
}
