//! What an image's properties decide: pure.

use crate::face::Image;

/// Whether its containers are cluster nodes, with what a nested engine needs.
pub(crate) fn is_node(image: &Image) -> bool {
    match image.properties.get("jeroboam_node") {
        Some(said) => said.eq_ignore_ascii_case("true"),
        None => matches!(image.os_distro.as_deref(), Some("swarm" | "kubernetes")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_property_wins_over_the_distro() {
        let image = |distro: Option<&str>, said: Option<&str>| Image {
            id: String::new(),
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
