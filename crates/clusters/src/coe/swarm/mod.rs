//! Docker Swarm: managers and workers with an engine each, TLS on port 2376.

pub(crate) mod health;
pub(crate) mod hints;
pub(crate) mod render;

use std::collections::BTreeMap;

use kernel::Result;

use crate::coe::isolation::LEVELS;
use crate::coe::options::TemplateOptions;
use crate::errors::bad_request;
use crate::ranges::RangePools;

/// Distributions of `os_distro` whose images hold the node agent.
pub(crate) const DISTROS: &[&str] = &["debian"];

/// TLS port of a manager's Docker API.
pub(crate) const API_PORT: u16 = 2376;

pub(crate) fn check_template(template: &TemplateOptions<'_>, ranges: &RangePools) -> Result<()> {
    if template.tls_disabled {
        return Err(bad_request(
            "tls_disabled",
            "tls_disabled: the swarm driver serves the Docker API with TLS only; leave it unset.",
        ));
    }
    check_labels(template.labels, ranges)
}

/// Known labels with impossible values are refused; unknown ones are kept.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>, ranges: &RangePools) -> Result<()> {
    let node_ranges = ranges.describe_nodes();
    for (key, value) in labels {
        let supported = match key.as_str() {
            "swarm_strategy" => {
                let good = value
                    .split_whitespace()
                    .all(|s| matches!(s, "spread" | "binpack" | "random"));
                if good {
                    None
                } else {
                    Some("spread, binpack, random, unspecified")
                }
            }
            "rexray_preempt" => {
                let good = matches!(value.to_lowercase().as_str(), "true" | "false" | "");
                if good {
                    None
                } else {
                    Some("true, false, unspecified")
                }
            }
            "fixed_subnet_cidr" => match value.parse::<ipnet::Ipv4Net>() {
                Ok(net) if ranges.allow_nodes(&net) => None,
                _ => Some(node_ranges.as_str()),
            },
            "isolation" => {
                let known = LEVELS.iter().any(|l| l.eq_ignore_ascii_case(value));
                (!known && !value.is_empty()).then_some("host-root, user-namespace, unspecified")
            }
            "boot_volume_size" | "etcd_volume_size" => match value.parse::<u32>() {
                Ok(_) => None,
                Err(_) => Some("a whole number of GB"),
            },
            "min_node_count" | "max_node_count" => match value.parse::<u32>() {
                Ok(n) if n <= 1000 => None,
                _ => Some("a whole number from 0 to 1000"),
            },
            _ => None,
        };
        if let Some(supported) = supported {
            return Err(bad_request(
                "labels",
                format!(
                    "property \"labels/{key}\" with value \"{value}\" is not supported, \
                     supported values are: {supported}"
                ),
            ));
        }
    }
    Ok(())
}
