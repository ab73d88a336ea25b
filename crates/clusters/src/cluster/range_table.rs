//! SQL of the ranges of clusters in creation.

use std::collections::BTreeMap;

use db::{Tx, values};
use ipnet::Ipv4Net;
use kernel::Result;

use crate::ranges;
use crate::status::{Action, Phase, Status};

/// The ranges that clusters in creation have chosen for their nodes.
pub(crate) async fn planned(tx: &mut Tx) -> Result<Vec<Ipv4Net>> {
    let creating = Status::new(Action::Create, Phase::InProgress);
    let sql = "SELECT labels FROM magnum_cluster WHERE status = ? AND labels LIKE ?";
    let args = values![creating.as_stored(), "%fixed_subnet_cidr%"];
    let mut found = Vec::new();
    for row in tx.query(sql, args).await? {
        let labels: BTreeMap<String, String> = serde_json::from_str(row.str("labels")?)?;
        found.extend(ranges::of_nodes(&labels));
    }
    Ok(found)
}
