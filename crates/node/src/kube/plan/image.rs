//! The contents of the node image, and the names of images.

use kernel::{Error, Result};
use serde::Deserialize;

use super::facts::Minor;

/// Written by the recipe of the image: the release and the images that it
/// contains.
pub(crate) const IMAGE_FACTS: &str = "/etc/jeroboam/kubernetes.json";

/// Contents of the node image.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Image {
    /// The release of Kubernetes, as `v1.36.3`.
    pub version: String,
    pub images: Images,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Images {
    pub pause: String,
    pub coredns: String,
}

impl Image {
    /// # Errors
    /// Invalid `image`: the text was not written by the recipe, or names no 1.x
    /// release.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid("image", format!("{IMAGE_FACTS}: {why}"));
        let image: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if minor(&image.version).is_none() {
            return Err(wrong(format!(
                "version '{}' is not of the form v1.36.3",
                image.version
            )));
        }
        Ok(image)
    }

    pub(crate) fn minor(&self) -> Minor {
        minor(&self.version).unwrap_or_default()
    }
}

fn minor(version: &str) -> Option<Minor> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}

/// The full name of an image, as containerd requires it.
pub(crate) fn full_name(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}
