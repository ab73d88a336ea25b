//! Parameters of the stack of a cluster, and the server address for its nodes.

use std::collections::BTreeMap;

use compute::api::Isolation;
use kernel::{Ctx, Error, Result};
use serde_json::{Value, json};

use super::model::Cluster;
use crate::coe::hot::{FixedNetwork, GroupShape, Shape};
use crate::nodegroup::Group;
use crate::template::Template;
use crate::{ClustersDeps, ranges};

/// Maximum timeout of a Heat wait condition, seconds.
const LONGEST_WAIT: i64 = 43_200;

/// First 30 characters of the name and 12 of the stack's id.
pub(crate) fn name(c: &Cluster) -> String {
    let id: String = c.stack_id.chars().filter(|x| *x != '-').take(12).collect();
    format!("{}-{id}", crate::names::sanitised(&c.name, 30))
}

pub(crate) async fn shape(
    d: &ClustersDeps,
    ctx: &Ctx,
    c: &Cluster,
    (t, groups): (&Template, &[Group]),
    balanced: bool,
) -> Result<Shape> {
    Ok(Shape {
        prefix: c.prefix(),
        groups: groups.iter().map(GroupShape::of).collect(),
        fixed_network: fixed_network(d, ctx, c).await?,
        external_network: t.external_network_id.clone(),
        keypair: c.keypair.clone(),
        dns: t.dns_servers(),
        cidr: ranges::of_nodes(&c.labels).map(|range| range.to_string()),
        balancer: balanced,
        isolation: Isolation::from_stored(&c.isolation)?,
    })
}

async fn fixed_network(d: &ClustersDeps, ctx: &Ctx, c: &Cluster) -> Result<Option<FixedNetwork>> {
    let (networks, subnets) = (&d.network.networks, &d.network.subnets);
    let subnet = match (&c.fixed_network, &c.fixed_subnet) {
        (_, Some(subnet)) => subnet.into(),
        (Some(network), None) => {
            let network = networks.find(ctx, network).await?;
            network.subnets.first().cloned().ok_or_else(|| {
                Error::invalid(
                    "fixed_network",
                    format!("Fixed network {} has no subnet.", network.name),
                )
            })?
        }
        (None, None) => return Ok(None),
    };
    let subnet = subnets.show(ctx, &subnet).await?;
    Ok(Some(FixedNetwork {
        network: subnet.network_id,
        gateway: subnet.gateway_ip.to_string(),
    }))
}

pub(crate) fn fixed_parameters(
    d: &ClustersDeps,
    c: &Cluster,
    groups: &[Group],
) -> BTreeMap<String, Value> {
    let wait = if c.create_timeout > 0 {
        c.create_timeout.saturating_mul(60).min(LONGEST_WAIT)
    } else {
        LONGEST_WAIT
    };
    let fixed = [
        ("name", json!(c.prefix())),
        ("cluster_uuid", json!(c.uuid)),
        ("bootstrap_pin", json!(d.bootstrap.pin)),
        ("bootstrap_port", json!(d.bootstrap.port)),
        ("wait_timeout", json!(wait)),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let flavors = groups.iter().map(|g| {
        let flavor = g.flavor_id.as_deref().unwrap_or("m1.small");
        (format!("{}_flavor", g.name_part()), json!(flavor))
    });
    let images = groups
        .iter()
        .map(|g| (g.image_parameter(), json!(g.image_id)));
    fixed.into_iter().chain(flavors).chain(images).collect()
}
