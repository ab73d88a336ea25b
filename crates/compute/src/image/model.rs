//! Rules derived from image properties: pure.

use std::collections::BTreeMap;

use kernel::{Error, Result};

use crate::api::{Image, NewImage, NodeFlavour};

/// The image property that selects the node flavour.
const FLAVOUR: &str = "node_flavour";

db::stored_enum! { NodeFlavour: Own = "own", Kindest = "kindest", K3s = "k3s" }

impl Image {
    /// # Errors
    /// Invalid `node_flavour`, naming the value and the valid values.
    pub fn flavour(&self) -> Result<NodeFlavour> {
        flavour(&self.properties, &self.reference)
    }
}

impl NewImage {
    /// # Errors
    /// Same errors as [`Image::flavour`].
    pub fn flavour(&self) -> Result<NodeFlavour> {
        flavour(&self.properties, &self.reference)
    }
}

impl std::fmt::Display for NodeFlavour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_stored())
    }
}

/// Returns the flavour of the property, otherwise the one derived from the
/// reference.
///
/// # Errors
/// Invalid `node_flavour`, naming the value and the valid values.
fn flavour(properties: &BTreeMap<String, String>, reference: &str) -> Result<NodeFlavour> {
    match properties.get(FLAVOUR).map(String::as_str) {
        Some(word) => NodeFlavour::from_stored(word).map_err(|_| {
            Error::invalid(
                FLAVOUR,
                format!(
                    "{FLAVOUR}: '{word}' is no flavour of node images; use own, kindest or k3s, \
                     or leave it out for an image whose name says it (kindest/node, rancher/k3s)"
                ),
            )
        }),
        None => Ok(match repository(reference) {
            "kindest/node" => NodeFlavour::Kindest,
            "rancher/k3s" => NodeFlavour::K3s,
            _ => NodeFlavour::Own,
        }),
    }
}

/// `docker.io/kindest/node:v1.36.1@sha256:…` is `kindest/node` in any registry.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    let name = match name.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    }
}

/// Whether its containers are cluster nodes, which need a nested engine.
pub(crate) fn is_node(image: &Image) -> bool {
    match image.properties.get("jeroboam_node") {
        Some(value) => value.eq_ignore_ascii_case("true"),
        None => matches!(image.os_distro.as_deref(), Some("swarm" | "kubernetes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavour_is_explicit_or_derived() {
        use NodeFlavour::{K3s, Kindest, Own};
        let none = BTreeMap::new();
        for (reference, wanted) in [
            ("jeroboam/kubernetes:latest", Own),
            ("kindest/node", Kindest),
            ("docker.io/kindest/node:v1.36.1@sha256:ab12", Kindest),
            ("127.0.0.1:5000/kindest/node:v1.36.1", Kindest),
            ("docker.io/rancher/k3s:v1.36.1-k3s1", K3s),
            ("example.org/mirror/kindest/node:v1", Own),
        ] {
            assert_eq!(flavour(&none, reference).unwrap(), wanted, "{reference}");
        }
        let said = |word: &str| BTreeMap::from([(FLAVOUR.to_owned(), word.to_owned())]);
        let mirror = "example.org/mirror/kindest/node:v1";
        assert_eq!(flavour(&said("kindest"), mirror).unwrap(), Kindest);
        assert_eq!(flavour(&said("own"), "kindest/node").unwrap(), Own);
        let e = flavour(&said("minikube"), mirror).unwrap_err();
        assert!(
            e.message.contains("node_flavour: 'minikube'")
                && e.message.contains("use own, kindest or k3s"),
            "{e}"
        );
    }

    #[test]
    fn the_property_wins_over_the_distro() {
        let image = |distro: Option<&str>, said: Option<&str>| Image {
            id: crate::ImageId::default(),
            name: String::new(),
            status: String::new(),
            os_distro: distro.map(str::to_owned),
            properties: said
                .map(|s| ("jeroboam_node".to_owned(), s.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            reference: String::new(),
        };
        assert!(is_node(&image(Some("swarm"), None)));
        assert!(is_node(&image(None, Some("true"))));
        assert!(!is_node(&image(Some("swarm"), Some("false"))));
        assert!(!is_node(&image(Some("debian"), None)));
    }
}
