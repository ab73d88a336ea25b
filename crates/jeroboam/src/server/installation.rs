//! What one installation (one database) is known by: its id, which labels all
//! that it makes, and the proof that its servers share the same keys.

use anyhow::{Result, bail};
use db::{Db, Migration, values};
use kernel::{Kind, ids};

/// Ten years: nodes pin it for their life.
const LISTENER_DAYS: u32 = 3650;

pub fn migrations() -> &'static [Migration] {
    &[Migration {
        name: "installation-001",
        sql: "CREATE TABLE IF NOT EXISTS installation (name varchar(36) NOT NULL PRIMARY KEY,
            value {text} NOT NULL)",
    }]
}

/// The installation's id, drawn by the first server.
pub async fn installation(db: &Db) -> Result<String> {
    first(db, "id", ids::hex()).await
}

/// Several servers on one database must share the key directory: the first
/// one writes a value that only its keys can have made.
pub async fn check_keys(db: &Db, sealer: &pki::Sealer) -> Result<()> {
    let value = first(db, "key check", sealer.key_check()).await?;
    if !sealer.knows(&value) {
        bail!(
            "keys: this database was sealed with other keys; copy the directory 'keys' of the other server's state directory"
        );
    }
    Ok(())
}

/// The bootstrap listener's certificate and key, made by the first server and
/// sealed: nodes are given its fingerprint and must find it at every server.
pub async fn listener(db: &Db, sealer: &pki::Sealer) -> Result<ListenerPem> {
    const PURPOSE: &str = "bootstrap listener";
    let made = pki::self_signed("jeroboam-bootstrap", &[], LISTENER_DAYS)?;
    let mine = sealer.seal(
        PURPOSE,
        format!("{}{}", made.key_pem, made.cert_pem).as_bytes(),
    )?;
    let kept = first(db, "bootstrap listener", mine).await?;
    let pem = sealer.unseal_text(PURPOSE, &kept)?;
    let Some(at) = pem.find("-----BEGIN CERTIFICATE-----") else {
        bail!("the bootstrap listener's certificate in the database is damaged");
    };
    let (key_pem, cert_pem) = pem.split_at(at);
    Ok(ListenerPem {
        cert: cert_pem.into(),
        key: key_pem.into(),
    })
}

/// Both PEM; the key is a secret.
pub struct ListenerPem {
    pub cert: String,
    pub key: String,
}

/// Writes a value unless there is one; answers the one that is there.
async fn first(db: &Db, name: &str, mine: String) -> Result<String> {
    let sql = "SELECT value FROM installation WHERE name = ?";
    if let Some(row) = db.query_opt(sql, values![name]).await? {
        return Ok(row.text("value")?);
    }
    let put = db::write!(db, |tx| {
        tx.execute(
            "INSERT INTO installation (name, value) VALUES (?, ?)",
            values![name, &mine],
        )
        .await
    });
    match put {
        Ok(_) => Ok(mine),
        Err(e) if e.kind == Kind::AlreadyExists => {
            let row = db.query_opt(sql, values![name]).await?;
            Ok(row
                .map(|r| r.text("value"))
                .transpose()?
                .unwrap_or_default())
        }
        Err(e) => Err(e.into()),
    }
}
