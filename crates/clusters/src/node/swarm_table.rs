//! SQL of `magnum_swarm`: join secrets and reports of the masters.

use db::{Db, Table as _, Tx, values};
use kernel::Result;

use crate::ClusterId;

db::table! {
    /// Sealed join secrets and the last observation.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub(crate) struct Swarm in "magnum_swarm" {
        pub(crate) cluster_id: ClusterId,
        pub(crate) join_sealed: Option<String>,
        /// JSON, `{}` before the first.
        pub(crate) observed: String,
    }
}

pub(crate) async fn insert_swarm(tx: &mut Tx, cluster: &ClusterId) -> Result<()> {
    let row = Swarm {
        cluster_id: cluster.clone(),
        join_sealed: None,
        observed: "{}".to_owned(),
    };
    row.insert(tx).await
}

pub(crate) async fn swarm(db: &Db, cluster: &ClusterId) -> Result<Swarm> {
    let sql = format!("{} WHERE cluster_id = ?", Swarm::select());
    let row = db.query_opt(&sql, values![cluster]).await?;
    row.map_or_else(|| Ok(Swarm::default()), |r| Swarm::read(&r))
}

/// Returns the sealed join secrets, in a transaction that replaces them.
pub(crate) async fn join_tx(tx: &mut Tx, cluster: &ClusterId) -> Result<Option<String>> {
    let row = tx
        .lock_opt(
            "SELECT join_sealed FROM magnum_swarm WHERE cluster_id = ?",
            values![cluster],
        )
        .await?;
    Ok(row
        .map(|r| r.opt_text("join_sealed"))
        .transpose()?
        .flatten())
}

/// Returns the last observation, in a transaction that may replace it.
pub(crate) async fn observed_tx(tx: &mut Tx, cluster: &ClusterId) -> Result<String> {
    let row = tx
        .lock_opt(
            "SELECT observed FROM magnum_swarm WHERE cluster_id = ?",
            values![cluster],
        )
        .await?;
    row.map_or_else(|| Ok(String::new()), |r| r.text("observed"))
}

pub(crate) async fn set_join(tx: &mut Tx, cluster: &ClusterId, sealed: &str) -> Result<()> {
    tx.execute(
        "UPDATE magnum_swarm SET join_sealed = ? WHERE cluster_id = ?",
        values![sealed, cluster],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn set_observed(tx: &mut Tx, cluster: &ClusterId, observed: &str) -> Result<()> {
    tx.execute(
        "UPDATE magnum_swarm SET observed = ? WHERE cluster_id = ?",
        values![observed, cluster],
    )
    .await
    .map(|_| ())
}
