//! The range that a user chooses for the nodes of a cluster.

use ipnet::Ipv4Net;
use kernel::{Ctx, Kind, Result};

use super::model::Cluster;
use super::range_table::planned;
use crate::ClustersDeps;
use crate::errors::bad_request;

/// Refuses a range for the nodes of a new cluster that is not free, or that would
/// have no effect. The range has been checked otherwise.
pub(crate) async fn check(d: &ClustersDeps, ctx: &Ctx, cluster: &Cluster) -> Result<()> {
    let range = cluster.labels.get("fixed_subnet_cidr");
    let range = range.map(|range| range.trim());
    let Some(range) = range.filter(|range| !range.is_empty()) else {
        return Ok(());
    };
    if cluster.fixed_network.is_some() || cluster.fixed_subnet.is_some() {
        return Err(bad_request(
            "labels",
            "labels/fixed_subnet_cidr has no effect in a cluster with a fixed_network or a \
             fixed_subnet; leave one of them out",
        ));
    }
    let taken = || {
        bad_request(
            "labels",
            format!(
                "property \"labels/fixed_subnet_cidr\" with value \"{range}\" is not supported: \
                 it overlaps a range that is in use, or that the server chooses from; choose \
                 another, or leave the label out to get a free one"
            ),
        )
    };
    let overlaps = |other: &Ipv4Net| {
        let wanted = range.parse::<Ipv4Net>();
        wanted.is_ok_and(|wanted| wanted.contains(other) || other.contains(&wanted))
    };
    // The subnets of clusters that are being created do not exist yet.
    let planned = planned(&d.db).await?;
    if planned.iter().any(overlaps) {
        return Err(taken());
    }
    match d.network.subnets.check_free(ctx, range).await {
        Err(e) if e.kind == Kind::Conflict => Err(taken()),
        other => other,
    }
}
