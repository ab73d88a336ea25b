//! Which numbers of nodes a cluster can have.

use std::collections::BTreeMap;

use kernel::{Ctx, Result};
use network::AUTOMATIC_PREFIX;

use super::model::Cluster;
use crate::errors::bad_request;
use crate::{ClustersDeps, lookups, ranges};

/// The addresses of a subnet that no node can have: that of the network, that of
/// the gateway, and the one for broadcasts.
const RESERVED: u32 = 3;

/// Rejects a number of workers outside the limits that the labels of a new cluster
/// give to its group of workers.
///
/// # Errors
/// 400 naming the label.
pub(crate) fn check_bounds(labels: &BTreeMap<String, String>, count: i64) -> Result<()> {
    let bound = |label: &str| labels.get(label)?.trim().parse::<i64>().ok();
    let refused = |label: &str, relation: String| {
        let text = format!("labels/{label} is invalid ({relation}).");
        Err(bad_request("labels", text))
    };
    if let Some(min) = bound("min_node_count").filter(|min| *min > count) {
        let relation =
            format!("min_node_count ({min}) should be less or equal to node_count ({count})");
        return refused("min_node_count", relation);
    }
    if let Some(max) = bound("max_node_count").filter(|max| count > *max) {
        let relation =
            format!("node_count ({count}) should be less or equal to max_node_count ({max})");
        return refused("max_node_count", relation);
    }
    Ok(())
}

/// The prefix length of the subnet of the nodes.
///
/// # Errors
/// Fails if the network service fails.
pub(crate) async fn prefix(d: &ClustersDeps, c: &Cluster) -> Result<u8> {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let (network, subnet) = (c.fixed_network.as_deref(), c.fixed_subnet.as_deref());
    if let Some(range) = lookups::fixed_range(d, &ctx, network, subnet).await? {
        return Ok(range.prefix_len());
    }
    let range = ranges::of_nodes(&c.labels);
    Ok(range.map_or(AUTOMATIC_PREFIX, |range| range.prefix_len()))
}

/// Rejects more servers than the subnet of the nodes has addresses.
///
/// # Errors
/// 400 naming the number.
pub(crate) fn check_fits(servers: i64, prefix: u8) -> Result<()> {
    let addresses = 1_u32
        .checked_shl(32_u32.saturating_sub(prefix.into()))
        .unwrap_or(u32::MAX)
        .saturating_sub(RESERVED);
    if servers <= i64::from(addresses) {
        return Ok(());
    }
    Err(bad_request(
        "node_count",
        format!(
            "node_count: {servers} masters, workers and balancers do not fit into the subnet of \
             the nodes, a /{prefix} with {addresses} free addresses; choose fewer, or create \
             a cluster whose label fixed_subnet_cidr has a prefix length down to 22"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_limits_the_servers() {
        assert!(check_fits(253, 24).is_ok() && check_fits(254, 24).is_err());
        assert!(check_fits(13, 28).is_ok() && check_fits(14, 28).is_err());
        assert!(check_fits(1000, 22).is_ok());
    }

    #[test]
    fn labels_limit_the_workers() {
        let check = |label: &str, value: &str, count| {
            let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
            check_bounds(&labels, count).map_err(|e| e.message)
        };
        assert_eq!(check("min_node_count", "2", 2), Ok(()));
        assert_eq!(check("max_node_count", "2", 2), Ok(()));
        let e = check("max_node_count", "0", 3).unwrap_err();
        assert!(e.contains("max_node_count (0)"), "{e}");
        assert!(check("min_node_count", "5", 1).is_err());
    }
}
