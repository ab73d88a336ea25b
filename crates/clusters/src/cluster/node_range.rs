//! The range that a user chooses for the nodes of a cluster.

use db::Tx;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, Result};

use super::model::Cluster;
use super::range_table::planned;
use crate::ClustersDeps;
use crate::errors::bad_request;

/// The range that a new cluster has chosen, if any. It is refused if a subnet has
/// it, or if it would have no effect. The label has been checked otherwise.
pub(crate) async fn check(
    d: &ClustersDeps,
    ctx: &Ctx,
    cluster: &Cluster,
) -> Result<Option<Ipv4Net>> {
    let range = cluster.labels.get("fixed_subnet_cidr");
    let range = range.map(|range| range.trim());
    let Some(range) = range.filter(|range| !range.is_empty()) else {
        return Ok(None);
    };
    if cluster.fixed_network.is_some() || cluster.fixed_subnet.is_some() {
        return Err(bad_request(
            "labels",
            "labels/fixed_subnet_cidr has no effect in a cluster with a fixed_network or a \
             fixed_subnet; leave one of them out",
        ));
    }
    match d.network.subnets.check_free(ctx, range).await {
        Err(e) if e.kind == Kind::Conflict => Err(taken(range)),
        Err(e) => Err(e),
        Ok(()) => Ok(range.parse().ok()),
    }
}

/// Refuses a range that overlaps that of another cluster in creation, whose subnet
/// does not exist yet. Called in the transaction that stores the cluster, so that
/// two requests at the same time do not get the same range.
pub(crate) async fn check_planned(tx: &mut Tx, range: Ipv4Net) -> Result<()> {
    tx.serialize().await?;
    let overlaps = |other: &Ipv4Net| range.contains(other) || other.contains(&range);
    match planned(tx).await?.iter().any(overlaps) {
        true => Err(taken(&range.to_string())),
        false => Ok(()),
    }
}

/// The error does not name the other cluster, which may be another project's.
fn taken(range: &str) -> Error {
    bad_request(
        "labels",
        format!(
            "property \"labels/fixed_subnet_cidr\" with value \"{range}\" is not supported: \
             it overlaps a range that is in use, or that the server chooses from; choose \
             another, or leave the label out to get a free one"
        ),
    )
}
