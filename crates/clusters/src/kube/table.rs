//! SQL of `magnum_kube`.

use db::{Db, Json, Migration, Table as _, Tx, values};
use kernel::{Error, Result};

use super::model::{Kube, StoredCa};
use crate::ClusterId;
use crate::coe::kubernetes::networks::Networks;
use crate::coe::kubernetes::profiles::Authority;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "clusters-040-kube",
    sql: "CREATE TABLE IF NOT EXISTS magnum_kube (
        cluster_id varchar(36) NOT NULL PRIMARY KEY, networks {text} NOT NULL,
        etcd_ca_cert {text} NOT NULL, etcd_ca_key {text} NOT NULL,
        front_ca_cert {text} NOT NULL, front_ca_key {text} NOT NULL,
        token_key {text} NOT NULL)",
}];

db::table! {
    /// As stored; the keys are sealed.
    #[derive(Debug)]
    pub(crate) struct KubeRow in "magnum_kube" {
        pub(crate) cluster_id: ClusterId,
        pub(crate) networks: Json<Networks>,
        pub(crate) etcd_ca_cert: String,
        pub(crate) etcd_ca_key: String,
        pub(crate) front_ca_cert: String,
        pub(crate) front_ca_key: String,
        pub(crate) token_key: String,
    }
}

pub(crate) async fn insert(tx: &mut Tx, cluster: &ClusterId, k: &Kube) -> Result<()> {
    let row = KubeRow {
        cluster_id: cluster.clone(),
        networks: Json(k.networks.clone()),
        etcd_ca_cert: k.etcd.cert.clone(),
        etcd_ca_key: k.etcd.key_sealed.clone(),
        front_ca_cert: k.front_proxy.cert.clone(),
        front_ca_key: k.front_proxy.key_sealed.clone(),
        token_key: k.token_key_sealed.clone(),
    };
    row.insert(tx).await
}

/// Replaces the certificate of a CA by one for the same key, unless it has
/// changed.
pub(crate) async fn renew_ca(
    tx: &mut Tx,
    cluster: &ClusterId,
    which: Authority,
    (old, new): (&str, &str),
) -> Result<u64> {
    let column = match which {
        Authority::Etcd => "etcd_ca_cert",
        Authority::FrontProxy => "front_ca_cert",
        Authority::Cluster => return Err(Error::internal("another table has this CA")),
    };
    let sql = format!("UPDATE magnum_kube SET {column} = ? WHERE cluster_id = ? AND {column} = ?");
    tx.execute(&sql, values![new, cluster, old]).await
}

/// The row of a cluster, which must be a Kubernetes cluster.
pub(crate) async fn load(db: &Db, cluster: &ClusterId) -> Result<Kube> {
    let sql = format!("{} WHERE cluster_id = ?", KubeRow::select());
    let row = db.query_opt(&sql, values![cluster]).await?;
    let row =
        row.ok_or_else(|| Error::internal("a Kubernetes cluster without its ranges and CAs"))?;
    let row = KubeRow::read(&row)?;
    Ok(Kube {
        networks: row.networks.0,
        etcd: StoredCa {
            cert: row.etcd_ca_cert,
            key_sealed: row.etcd_ca_key,
        },
        front_proxy: StoredCa {
            cert: row.front_ca_cert,
            key_sealed: row.front_ca_key,
        },
        token_key_sealed: row.token_key,
    })
}
