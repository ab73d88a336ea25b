//! SQL of keypairs.

use db::{Db, values};
use kernel::{Kind, Result};

use crate::face::Keypair;

/// The seeded keypair, everybody's. Nobody holds its private half: the key
/// is a hash, not drawn from a secret.
const DEFAULT: (&str, &str, &str) = (
    "default",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshTgwnwTL4pg5LBFyALY69noN6YDvsKg2Rzm3gjh6G default@jeroboam",
    "55:f7:92:3f:43:66:1f:50:d9:09:5e:10:d8:eb:d6:75",
);

/// Makes the keypair `default` unless it is there.
///
/// # Errors
/// As the database.
pub(crate) async fn seed(db: &Db) -> Result<()> {
    let (name, public_key, fingerprint) = DEFAULT;
    if find(db, "", name).await?.is_some() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let made = tx
        .execute(
            "INSERT INTO keypair (name, project_id, public_key, fingerprint) VALUES (?, '', ?, ?)",
            values![name, public_key, fingerprint],
        )
        .await;
    match made {
        Ok(_) => tx.commit().await,
        // Another server was faster.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// A project's own keypair, else everybody's.
pub(super) async fn find(db: &Db, project_id: &str, name: &str) -> Result<Option<Keypair>> {
    let rows = db
        .query(
            "SELECT name, public_key, fingerprint FROM keypair WHERE name = ? AND project_id IN (?, '') \
             ORDER BY project_id DESC",
            values![name, project_id],
        )
        .await?;
    rows.first()
        .map(|r| {
            Ok(Keypair {
                name: r.text("name")?,
                public_key: r.text("public_key")?,
                fingerprint: r.text("fingerprint")?,
            })
        })
        .transpose()
}
