//! The range that a user chooses for the nodes of a cluster.

use db::Tx;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, Result};
use network::overlap;

use super::model::Cluster;
use super::range_table::planned;
use crate::ClustersDeps;
use crate::errors::bad_request;
use crate::ranges;

/// The range that a new cluster has chosen, if any. It is refused if a subnet has
/// it, or if it would have no effect. The label has been checked otherwise.
pub(crate) async fn check(
    d: &ClustersDeps,
    ctx: &Ctx,
    cluster: &Cluster,
) -> Result<Option<Ipv4Net>> {
    let Some(range) = ranges::of_nodes(&cluster.labels) else {
        return Ok(None);
    };
    if cluster.fixed_network.is_some() || cluster.fixed_subnet.is_some() {
        return Err(bad_request(
            "labels",
            "labels/fixed_subnet_cidr has no effect in a cluster with a fixed_network or a \
             fixed_subnet; leave one of them out",
        ));
    }
    match d.network.subnets.check_free(ctx, &range.to_string()).await {
        Err(e) if e.kind == Kind::Conflict => Err(taken(range)),
        Err(e) => Err(e),
        Ok(()) => Ok(Some(range)),
    }
}

/// Refuses a range that overlaps that of another cluster in creation, whose subnet
/// does not exist yet. Called in the transaction that stores the cluster, so that
/// two requests at the same time do not get the same range.
pub(crate) async fn check_planned(tx: &mut Tx, range: Ipv4Net) -> Result<()> {
    tx.serialize().await?;
    let mut planned = planned(tx).await?.into_iter();
    match planned.any(|other| overlap(&range, &other)) {
        true => Err(taken(range)),
        false => Ok(()),
    }
}

/// The error does not name the other cluster, which may be another project's.
fn taken(range: Ipv4Net) -> Error {
    bad_request(
        "labels",
        format!(
            "property \"labels/fixed_subnet_cidr\" with value \"{range}\" is not supported: \
             it overlaps a range that is in use, or that the server chooses from; choose \
             another, or leave the label out to get a free one"
        ),
    )
}
