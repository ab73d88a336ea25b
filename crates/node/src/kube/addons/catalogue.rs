//! The add-ons that labels can select.

use std::collections::BTreeMap;

use nodewire::KubePlan;
use serde_json::Value;

use super::images::AddonImages;
use super::{ingress, metrics_server, monitoring};

/// The cluster's labels.
pub(super) type Options = BTreeMap<String, String>;

/// An add-on, and the label that selects it.
pub(super) struct AddonSpec {
    /// Whether it is installed without its label, on nodes of our image.
    default: bool,
    pub(super) label: &'static str,
    pub(super) name: &'static str,
    pub(super) images: &'static [&'static str],
    pub(super) objects: fn(&KubePlan, &AddonImages) -> Vec<Value>,
}

fn no_objects(_: &KubePlan, _: &AddonImages) -> Vec<Value> {
    Vec::new()
}

/// All add-ons that labels can select. If the node image lacks an image of an
/// add-on, the add-on is not installed and reported as failed.
pub(super) const CATALOGUE: [AddonSpec; 5] = [
    AddonSpec {
        default: true,
        label: "metrics_server_enabled",
        name: metrics_server::NAME,
        images: &[metrics_server::IMAGE],
        objects: metrics_server::objects,
    },
    AddonSpec {
        default: false,
        label: "monitoring_enabled",
        name: "monitoring",
        images: &[monitoring::PROMETHEUS, monitoring::EXPORTER],
        objects: monitoring::objects,
    },
    AddonSpec {
        default: false,
        label: "ingress_controller",
        name: "ingress",
        images: &[ingress::IMAGE],
        objects: ingress::objects,
    },
    AddonSpec {
        default: false,
        label: "kube_dashboard_enabled",
        name: "dashboard",
        images: &["dashboard"],
        objects: no_objects,
    },
    AddonSpec {
        default: false,
        label: "auto_scaling_enabled",
        name: "autoscaler",
        images: &["autoscaler"],
        objects: no_objects,
    },
];

impl AddonSpec {
    /// The value of the label if it requests the add-on.
    pub(super) fn requested_value<'a>(&self, options: &'a Options) -> Option<&'a str> {
        let value = options.get(self.label).map(|v| v.trim());
        match value.unwrap_or_default() {
            "" => self.default.then_some("true"),
            no if ["false", "0", "no", "off", "f", "n"].contains(&no.to_lowercase().as_str()) => {
                None
            }
            yes => Some(yes),
        }
    }

    /// The reason why the add-on cannot be installed, for display.
    pub(super) fn missing_requirement(
        &self,
        value: &str,
        addon_images: &AddonImages,
    ) -> Option<String> {
        let label = self.label;
        if self.name == "ingress" && !value.eq_ignore_ascii_case(ingress::CONTROLLER) {
            return Some(format!(
                "label {label}: there is no image of {value}; the only supported controller is {}",
                ingress::CONTROLLER
            ));
        }
        let missing: Vec<&str> = self
            .images
            .iter()
            .filter(|program| !addon_images.contains_key(**program))
            .copied()
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "label {label}: the node image does not hold the image of {}",
                missing.join(" and ")
            )
        })
    }
}
