//! Checks that objects named in a body exist in other services, with Magnum's
//! error texts.

use std::collections::BTreeMap;

use compute::api::Image;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, Result};

use crate::ClustersDeps;
use crate::errors::bad_request;

/// Image property with the Kubernetes release, such as `v1.36.3`.
const RELEASE: &str = "kube_version";

/// Returns the id of the node image for the release in the labels: the image of
/// the template or another registered one. An image without a release is never
/// replaced by another one.
pub(crate) async fn release(
    d: &ClustersDeps,
    ctx: &Ctx,
    labels: &BTreeMap<String, String>,
    image: &str,
) -> Result<String> {
    let given = ["kube_tag", "kube_version"].into_iter().find_map(|label| {
        let value = labels.get(label).map(|v| v.trim());
        value.filter(|v| !v.is_empty()).map(|v| (label, v))
    });
    let own = d.compute.images.find(ctx, image).await?;
    let (Some((label, value)), Some(there)) = (given, own.properties.get(RELEASE)) else {
        return Ok(image.to_owned());
    };
    // Magnum's tags end in the name of the vendor: v1.23.3-rancher1.
    let plain = value.split('-').next().unwrap_or_default();
    let asked = format!("v{}", plain.trim_start_matches('v'));
    if *there == asked {
        return Ok(image.to_owned());
    }
    let ours = |i: &&Image| i.name == "kubernetes" || i.name.starts_with("kubernetes-v");
    let all = d.compute.images.list(ctx).await?;
    let known: BTreeMap<&str, &Image> = all
        .iter()
        .filter(ours)
        .filter_map(|i| Some((i.properties.get(RELEASE)?.as_str(), i)))
        .collect();
    if let Some(found) = known.get(asked.as_str()) {
        return Ok(found.id.to_string());
    }
    let known: Vec<&str> = known.into_keys().collect();
    Err(bad_request(
        "labels",
        format!(
            "property \"labels/{label}\" with value \"{value}\" is not supported, \
             supported values are: {}; `jeroboam image build kubernetes` makes others",
            known.join(", ")
        ),
    ))
}

/// Returns the image, which must have an `os_distro`.
pub(crate) async fn image(d: &ClustersDeps, ctx: &Ctx, id: &str) -> Result<(Image, String)> {
    let image = d
        .compute
        .images
        .find(ctx, id)
        .await
        .map_err(|e| match e.kind {
            Kind::NotFound => bad_request("image_id", format!("Image {id} could not be found.")),
            Kind::Forbidden => Error::forbidden(format!("Not authorized for image {id}.")),
            Kind::Conflict | Kind::AlreadyExists => Error::conflict(format!(
                "Multiple images exist with same name '{id}'. Please use the image ID instead."
            )),
            _ => e,
        })?;
    match image.os_distro.clone().filter(|d| !d.is_empty()) {
        Some(distro) => Ok((image, distro)),
        None => Err(bad_request(
            "image_id",
            format!("Image {id} doesn't contain os_distro field."),
        )),
    }
}

pub(crate) async fn flavor(d: &ClustersDeps, ctx: &Ctx, id: Option<&str>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match d.compute.flavors.find(ctx, id).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Err(bad_request(
            "flavor_id",
            format!("Unable to find flavor {id}."),
        )),
        Err(e) => Err(e),
    }
}

/// As [`flavor`] for nodes, which need at least `least` MiB of memory.
pub(crate) async fn node_flavor(
    d: &ClustersDeps,
    ctx: &Ctx,
    (field, what): (&str, &str),
    id: Option<&str>,
    least: u64,
) -> Result<()> {
    flavor(d, ctx, id).await?;
    let Some(id) = id else { return Ok(()) };
    let found = d.compute.flavors.find(ctx, id).await?;
    let ram = u64::try_from(found.ram).unwrap_or(0);
    if ram >= least {
        return Ok(());
    }
    Err(bad_request(
        field,
        format!("Flavor {id} has {ram} MiB of memory; a {what} needs at least {least} MiB."),
    ))
}

/// The range of an existing network that nodes are attached to.
pub(crate) async fn fixed_range(
    d: &ClustersDeps,
    ctx: &Ctx,
    network: Option<&str>,
    subnet: Option<&str>,
) -> Result<Option<Ipv4Net>> {
    let subnet = match (network, subnet) {
        (_, Some(subnet)) => Some(subnet.into()),
        (Some(network), None) => {
            let network = d.network.networks.find(ctx, network).await?;
            network.subnets.first().cloned()
        }
        (None, None) => None,
    };
    let Some(subnet) = subnet else {
        return Ok(None);
    };
    let subnet = d.network.subnets.show(ctx, &subnet).await?;
    Ok(Some(subnet.cidr))
}

pub(crate) async fn external_network(d: &ClustersDeps, ctx: &Ctx, id: Option<&str>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    let missing = || {
        bad_request(
            "external_network_id",
            format!("Unable to find external network {id}."),
        )
    };
    match d.network.networks.find(ctx, id).await {
        Ok(n) if n.external => Ok(()),
        Ok(_) => Err(missing()),
        Err(e) if e.is_not_found() => Err(missing()),
        Err(e) if matches!(e.kind, Kind::Conflict) => Err(Error::conflict(format!(
            "Multiple external networks exist with same name '{id}'. \
             Please use the external network ID instead."
        ))),
        Err(e) => Err(e),
    }
}

pub(crate) async fn fixed_network(d: &ClustersDeps, ctx: &Ctx, id: Option<&str>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match d.network.networks.find(ctx, id).await {
        Ok(network) if network.subnets.is_empty() => Err(bad_request(
            "fixed_network",
            format!("Fixed network {id} has no subnet."),
        )),
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Err(bad_request(
            "fixed_network",
            format!("Unable to find fixed network {id}."),
        )),
        Err(e) if matches!(e.kind, Kind::Conflict) => Err(Error::conflict(format!(
            "Multiple networks exist with same name '{id}'. Please use the network ID instead."
        ))),
        Err(e) => Err(e),
    }
}

pub(crate) async fn fixed_subnet(d: &ClustersDeps, ctx: &Ctx, id: Option<&str>) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    match d.network.subnets.show(ctx, &id.into()).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Err(bad_request(
            "fixed_subnet",
            format!("Unable to find fixed subnet {id}."),
        )),
        Err(e) => Err(e),
    }
}

pub(crate) async fn keypair(d: &ClustersDeps, ctx: &Ctx, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    match d.compute.keypairs.find(ctx, name).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Err(Error::new(
            Kind::NotFound,
            format!("Unable to find keypair {name}."),
        )),
        Err(e) => Err(e),
    }
}
