//! Registers node images of the engine under the name of their COE, and images
//! of older releases as COE-RELEASE, with their distribution.

use std::collections::BTreeMap;

use compute::api::{ComputeApi, NewImage, NodeFlavour};
use infra::ImageStore;
use kernel::{Ctx, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Label of node images; its value is the COE.
pub const LABEL: &str = "io.jeroboam.image";

/// Label with the release of a Kubernetes node image, such as `v1.36.3`.
const RELEASE: &str = "io.jeroboam.kubernetes.version";

/// Body of a manual registration of an image that was not built by Jeroboam.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    pub name: String,
    /// Reference in the registry, such as
    /// `docker.io/kindest/node:v1.36.1@sha256:…`.
    pub reference: String,
    /// `own`, `kindest`, `k3s`; absent: derived from the reference, which must be that
    /// of `kindest/node` or `rancher/k3s`.
    #[serde(default)]
    pub node_flavour: Option<String>,
    /// Absent: the default of the flavour.
    #[serde(default)]
    pub os_distro: Option<String>,
}

/// A registered image.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RegisteredImage {
    id: String,
    name: String,
    reference: String,
    os_distro: Option<String>,
    node_flavour: String,
}

/// Registers an image; returns it as stored.
///
/// # Errors
/// Forbidden; Invalid, naming the field.
pub async fn register(
    ctx: &Ctx,
    compute: &ComputeApi,
    given: RegisterRequest,
) -> Result<RegisteredImage> {
    let mut properties = BTreeMap::from([("jeroboam_node".to_owned(), "true".to_owned())]);
    let is_explicit = given.node_flavour.is_some();
    if let Some(word) = given.node_flavour {
        properties.insert("node_flavour".into(), word);
    }
    let mut new = NewImage {
        name: given.name,
        os_distro: given.os_distro,
        properties,
        reference: given.reference,
    };
    // Stored also if it was derived from the reference.
    let flavour = new.flavour()?;
    // `own` is the default of images in the engine, whose labels show that Jeroboam
    // built them. Nodes of another image would never become ready.
    if flavour == NodeFlavour::Own && !is_explicit {
        return Err(undetected(&new.reference));
    }
    new.properties
        .insert("node_flavour".into(), flavour.to_string());
    if new.os_distro.is_none() {
        let distro = match flavour {
            NodeFlavour::K3s => "k3s",
            NodeFlavour::Own | NodeFlavour::Kindest => "debian",
        };
        new.os_distro = Some(distro.into());
    }
    let made = compute.images.register(ctx, new).await?;
    Ok(RegisteredImage {
        id: made.id.into(),
        name: made.name,
        reference: made.reference,
        os_distro: made.os_distro,
        node_flavour: flavour.to_string(),
    })
}

fn undetected(reference: &str) -> Error {
    Error::invalid(
        "node_flavour",
        format!(
            "node_flavour: missing, and it cannot be detected from the reference '{reference}', \
             which is neither kindest/node nor rancher/k3s; set it (--flavour) to kindest, k3s, \
             or own for an image that Jeroboam built"
        ),
    )
}

/// Registers the existing images; returns their names.
pub async fn refresh(host: &dyn ImageStore, compute: &ComputeApi) -> Result<Vec<String>> {
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

/// `jeroboam/kubernetes:latest` is `kubernetes`, an older release
/// `kubernetes-v1.35.4`; images with other tags are ignored.
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
    fn releases_are_registered_side_by_side() {
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
