//! The API versions of Magnum.

use rest::Microversion;
use rest::version::Negotiator;

/// The first service name is used for clients that send none.
pub(crate) static VERSIONS: Negotiator = Negotiator {
    services: &[
        "container-infrastructure-management",
        "container-infrastructure",
        "container-infra",
    ],
    min: Microversion::new(1, 1),
    max: Microversion::new(1, 14),
};

/// The range of versions in the texts of the real service.
pub(crate) fn supported_range() -> String {
    let (min, max) = (VERSIONS.min, VERSIONS.max);
    let word = VERSIONS.services[0];
    format!("The supported version range is: [{word} {min}, {word} {max}].")
}
