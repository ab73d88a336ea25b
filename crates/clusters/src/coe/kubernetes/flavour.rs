//! Limits of images that were not built by Jeroboam, checked before anything is
//! created. `docs/node-flavours.md` gives the reasons.

use compute::api::{Image, NodeFlavour};
use kernel::Result;

use super::networks::Networks;
use crate::coe::Coe;
use crate::errors::bad_request;

/// Checks whether nodes of this engine can use the image.
///
/// # Errors
/// 400 naming the property, its value and the valid values.
pub(crate) fn check_image(coe: Coe, image: &Image) -> Result<NodeFlavour> {
    let flavour = image.flavour()?;
    if flavour != NodeFlavour::Own && coe != Coe::Kubernetes {
        return Err(bad_request(
            "image_id",
            format!(
                "Image {} is of the flavour {}, which is for kubernetes; choose an image that \
                 `jeroboam image build swarm` makes.",
                image.name, flavour
            ),
        ));
    }
    Ok(flavour)
}

/// Checks whether a cluster with these options can use the flavour.
///
/// # Errors
/// 400 naming the field, its value and the valid values.
pub(crate) fn check_cluster(
    flavour: NodeFlavour,
    masters: i64,
    networks: Option<&Networks>,
) -> Result<()> {
    if flavour == NodeFlavour::Own {
        return Ok(());
    }
    if masters > 1 {
        return Err(bad_request(
            "master_count",
            format!(
                "master_count: {masters} masters need the balancer that only our own image \
                 holds; with an image of the flavour {} there is 1, with \
                 `jeroboam image build kubernetes` there may be more.",
                flavour
            ),
        ));
    }
    if let Some(n) =
        networks.filter(|n| flavour == NodeFlavour::Kindest && n.dns != n.default_dns())
    {
        return Err(bad_request(
            "labels",
            format!(
                "property \"labels/dns_service_ip\" with value \"{}\" is not supported by kubeadm, \
                 supported values are: {}, unspecified",
                n.dns,
                n.default_dns()
            ),
        ));
    }
    Ok(())
}
