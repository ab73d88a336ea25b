//! The images of add-ons that the node image holds.

use std::collections::BTreeMap;

use crate::kube::plan::full_name;

/// Names of the add-on images in the node image, by part.
pub(super) type AddonImages = BTreeMap<String, String>;

/// The full name of the image of a part.
pub(super) fn image(addon_images: &AddonImages, part: &str) -> String {
    full_name(addon_images.get(part).map_or(part, String::as_str))
}
