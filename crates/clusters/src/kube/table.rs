//! SQL of `magnum_kube`.

use db::{Db, Migration, Tx, values};
use kernel::{Error, Result};

use super::model::{Kube, StoredCa};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "clusters-040-kube",
    sql: "CREATE TABLE IF NOT EXISTS magnum_kube (
        cluster_id varchar(36) NOT NULL PRIMARY KEY, networks {text} NOT NULL,
        etcd_ca_cert {text} NOT NULL, etcd_ca_key {text} NOT NULL,
        front_ca_cert {text} NOT NULL, front_ca_key {text} NOT NULL,
        token_key {text} NOT NULL)",
}];

pub(crate) async fn insert(tx: &mut Tx, cluster: &str, k: &Kube) -> Result<()> {
    tx.execute(
        "INSERT INTO magnum_kube (cluster_id, networks, etcd_ca_cert, etcd_ca_key, \
         front_ca_cert, front_ca_key, token_key) VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![
            cluster,
            serde_json::to_string(&k.networks)?,
            &k.etcd.cert,
            &k.etcd.key_sealed,
            &k.front_proxy.cert,
            &k.front_proxy.key_sealed,
            &k.token_key_sealed
        ],
    )
    .await
    .map(|_| ())
}

/// Of a cluster that is one of Kubernetes.
pub(crate) async fn load(db: &Db, cluster: &str) -> Result<Kube> {
    let row = db
        .query_opt(
            "SELECT networks, etcd_ca_cert, etcd_ca_key, front_ca_cert, front_ca_key, token_key \
             FROM magnum_kube WHERE cluster_id = ?",
            values![cluster],
        )
        .await?
        .ok_or_else(|| Error::internal("a Kubernetes cluster without its ranges and CAs"))?;
    Ok(Kube {
        networks: serde_json::from_str(&row.text("networks")?)?,
        etcd: StoredCa {
            cert: row.text("etcd_ca_cert")?,
            key_sealed: row.text("etcd_ca_key")?,
        },
        front_proxy: StoredCa {
            cert: row.text("front_ca_cert")?,
            key_sealed: row.text("front_ca_key")?,
        },
        token_key_sealed: row.text("token_key")?,
    })
}
