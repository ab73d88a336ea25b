//! What images that others have made cannot do; told before anything is made.
//! `docs/node-flavours.md` says why.

use compute::face::{Image, NodeFlavour};
use kernel::Result;

use super::networks::Networks;
use crate::coe::Coe;
use crate::errors::bad;

/// Whether nodes of this engine can be made of the image at all.
///
/// # Errors
/// 400 naming the property, its value and what would be right.
pub(crate) fn check_image(coe: Coe, image: &Image) -> Result<NodeFlavour> {
    let flavour = image.flavour()?;
    if flavour != NodeFlavour::Own && coe != Coe::Kubernetes {
        return Err(bad(
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

/// Whether a cluster like this can be made of the flavour.
///
/// # Errors
/// 400 naming the field, its value and what would be right.
pub(crate) fn check_cluster(
    flavour: NodeFlavour,
    masters: i64,
    networks: Option<&Networks>,
) -> Result<()> {
    if flavour == NodeFlavour::Own {
        return Ok(());
    }
    if masters > 1 {
        return Err(bad(
            "master_count",
            format!(
                "master_count: {masters} masters need the balancer that only our own image \
                 holds; with an image of the flavour {} there is 1, with \
                 `jeroboam image build kubernetes` there may be more.",
                flavour
            ),
        ));
    }
    if let Some(n) = networks.filter(|n| flavour == NodeFlavour::Kindest && n.dns != n.usual_dns())
    {
        return Err(bad(
            "labels",
            format!(
                "property \"labels/dns_service_ip\" with value \"{}\" is not supported by kubeadm, \
                 supported values are: {}, unspecified",
                n.dns,
                n.usual_dns()
            ),
        ));
    }
    Ok(())
}
