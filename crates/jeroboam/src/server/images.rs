//! Node images that the engine has are registered under their COE's name, an
//! older release beside it under COE-RELEASE, with their distribution.

use std::collections::BTreeMap;

use compute::face::{ComputeFace, NewImage};
use infra::ContainerHost;
use kernel::{Ctx, Result};

/// Label that a node image carries; its value is the COE.
pub const LABEL: &str = "io.jeroboam.image";

/// Label with the release of a Kubernetes node image, `v1.36.3`.
const RELEASE: &str = "io.jeroboam.kubernetes.version";

/// Registers what is there; answers the names.
pub async fn refresh(host: &dyn ContainerHost, compute: &ComputeFace) -> Result<Vec<String>> {
    let ctx = Ctx::service(kernel::ids::request_id());
    let mut names = Vec::new();
    for image in host.images().await? {
        let Some(coe) = image.labels.get(LABEL) else {
            continue;
        };
        let mut properties = BTreeMap::from([("jeroboam_node".to_owned(), "true".to_owned())]);
        if let Some(release) = image.labels.get(RELEASE) {
            properties.insert("kube_version".into(), release.clone());
        }
        for tag in &image.tags {
            let Some(name) = name(coe, tag) else { continue };
            let new = NewImage {
                name: name.clone(),
                os_distro: Some("debian".into()),
                properties: properties.clone(),
                reference: tag.clone(),
            };
            compute.images.register(&ctx, new).await?;
            names.push(name);
        }
    }
    Ok(names)
}

/// `jeroboam/kubernetes:latest` is `kubernetes`, an older release beside it
/// `kubernetes-v1.35.4`; what others have tagged is theirs.
fn name(coe: &str, tag: &str) -> Option<String> {
    let version = tag.strip_prefix(&format!("jeroboam/{coe}:"))?;
    match version {
        "latest" => Some(coe.to_owned()),
        v if v.starts_with('v') => Some(format!("{coe}-{v}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_stand_side_by_side() {
        let named = |tag| name("kubernetes", tag);
        assert_eq!(named("jeroboam/kubernetes:latest").unwrap(), "kubernetes");
        assert_eq!(
            named("jeroboam/kubernetes:v1.35.4").unwrap(),
            "kubernetes-v1.35.4"
        );
        assert_eq!(named("jeroboam/kubernetes-base:v1.35.4-abc"), None);
        assert_eq!(named("other/kubernetes:latest"), None);
    }
}
