//! Node images that the engine has are registered under their COE's name,
//! with the distribution that they are made from.

use std::collections::BTreeMap;

use compute::face::{ComputeFace, NewImage};
use infra::ContainerHost;
use kernel::{Ctx, Result};

/// Label that a node image carries; its value is the COE.
pub const LABEL: &str = "io.jeroboam.image";

/// Registers what is there; answers the names.
pub async fn refresh(host: &dyn ContainerHost, compute: &ComputeFace) -> Result<Vec<String>> {
    let ctx = Ctx::service(kernel::ids::request_id());
    let mut names = Vec::new();
    for image in host.images().await? {
        let (Some(coe), Some(tag)) = (
            image.labels.get(LABEL),
            image.tags.iter().find(|t| t.ends_with(":latest")),
        ) else {
            continue;
        };
        let new = NewImage {
            name: coe.clone(),
            os_distro: Some("debian".into()),
            properties: BTreeMap::from([("jeroboam_node".to_owned(), "true".to_owned())]),
            reference: tag.clone(),
        };
        compute.images.register(&ctx, new).await?;
        names.push(coe.clone());
    }
    Ok(names)
}
