//! SQL of keypairs.

use db::{Db, Table as _, values};
use kernel::{Kind, ProjectId, Result};

use crate::api::Keypair;

/// The default keypair, shared by all projects. No private key exists, because
/// the public key is a hash.
const DEFAULT: (&str, &str, &str) = (
    "default",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshTgwnwTL4pg5LBFyALY69noN6YDvsKg2Rzm3gjh6G default@jeroboam",
    "55:f7:92:3f:43:66:1f:50:d9:09:5e:10:d8:eb:d6:75",
);

db::table! {
    /// A row of a keypair; an empty project means shared.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct KeypairRow in "keypair" {
        pub name: String,
        pub project_id: ProjectId,
        pub public_key: String,
        pub fingerprint: String,
    }
}

/// Inserts the keypair `default` if it is missing.
///
/// # Errors
/// Fails if the database fails.
pub(crate) async fn seed(db: &Db) -> Result<()> {
    let (name, public_key, fingerprint) = DEFAULT;
    if find(db, &ProjectId::default(), name).await?.is_some() {
        return Ok(());
    }
    let row = KeypairRow {
        name: name.into(),
        project_id: ProjectId::default(),
        public_key: public_key.into(),
        fingerprint: fingerprint.into(),
    };
    match db::write!(db, |tx| row.insert(tx).await) {
        // Another server inserted it concurrently.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Finds a keypair of the project, otherwise a shared one.
pub(super) async fn find(db: &Db, project_id: &ProjectId, name: &str) -> Result<Option<Keypair>> {
    let sql = format!(
        "{} WHERE name = ? AND project_id IN (?, '') ORDER BY project_id DESC",
        KeypairRow::select()
    );
    let row = db.query_opt(&sql, values![name, project_id]).await?;
    let row = row.as_ref().map(KeypairRow::read).transpose()?;
    Ok(row.map(|r| Keypair {
        name: r.name,
        public_key: r.public_key,
        fingerprint: r.fingerprint,
    }))
}
