//! The images of add-ons that the node image contains.

use std::collections::BTreeMap;

use crate::kube::plan::full_name;

/// Names of the add-on images in the node image, by the program that they
/// contain.
pub(super) type AddonImages = BTreeMap<String, String>;

/// The full name of the image of a program.
pub(super) fn image(addon_images: &AddonImages, program: &str) -> String {
    full_name(addon_images.get(program).map_or(program, String::as_str))
}
