//! SQL of flavors.

use db::{Db, Table as _, values};
use kernel::{Kind, Result};

use crate::FlavorId;
use crate::api::Flavor;

/// Id, name, vCPUs, MiB, GiB: the flavors that Nova installers create, with
/// sizes for containers.
const SEED: [(&str, &str, i64, i64, i64); 4] = [
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
];

db::table! {
    /// A row of a flavor.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct FlavorRow in "flavor" {
        pub id: FlavorId,
        pub name: String,
        pub vcpus: i64,
        /// MiB.
        pub ram: i64,
        /// GiB.
        pub disk: i64,
    }
}

impl FlavorRow {
    fn shown(self) -> Flavor {
        Flavor {
            id: self.id,
            name: self.name,
            vcpus: self.vcpus,
            ram: self.ram,
            disk: self.disk,
        }
    }
}

/// Inserts missing default flavors.
///
/// # Errors
/// Fails if the database fails.
pub(crate) async fn seed(db: &Db) -> Result<()> {
    let known = list(db).await?;
    for (id, name, vcpus, ram, disk) in SEED {
        if known.iter().any(|f| f.id == id || f.name == name) {
            continue;
        }
        let row = FlavorRow {
            id: id.into(),
            name: name.into(),
            vcpus,
            ram,
            disk,
        };
        match db::write!(db, |tx| row.insert(tx).await) {
            // Another server inserted it concurrently.
            Err(e) if e.kind == Kind::AlreadyExists => {}
            done => done?,
        }
    }
    Ok(())
}

pub(super) async fn list(db: &Db) -> Result<Vec<Flavor>> {
    let sql = format!("{} ORDER BY ram, name", FlavorRow::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter()
        .map(|r| FlavorRow::read(r).map(FlavorRow::shown))
        .collect()
}

pub(super) async fn find(db: &Db, id_or_name: &str) -> Result<Option<Flavor>> {
    let sql = format!("{} WHERE id = ? OR name = ?", FlavorRow::select());
    let rows = db.query(&sql, values![id_or_name, id_or_name]).await?;
    let mut found: Vec<FlavorRow> = rows.iter().map(FlavorRow::read).collect::<Result<_>>()?;
    // A matching id takes precedence over the name of another flavor.
    found.sort_by_key(|f| f.id != id_or_name);
    Ok(found.into_iter().next().map(FlavorRow::shown))
}
