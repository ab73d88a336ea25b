//! The labels of Magnum's Kubernetes drivers: valid values, and whether they
//! have an effect here. `docs/kubernetes-labels.md` lists them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use kernel::Result;

use super::networks::Networks;
use super::options;
use crate::coe::isolation::LEVELS;
use crate::errors::bad_request;
use crate::ranges::RangePools;

/// Type of the value of a label. An empty value always means unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text,
    Flag,
    /// An integer within these bounds.
    Number(u32, u32),
    /// An IPv4 range; [`Networks`] checks it further.
    Range,
    /// Ranges separated by commas.
    Ranges,
    Address,
    Domain,
    Word(&'static [&'static str]),
    /// Flags of a component, separated by spaces.
    Flags,
    /// Names of admission plug-ins, separated by commas.
    Plugins,
}

/// Where a label has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// In the server: ranges, sizes, health.
    Server,
    /// In the nodes: the agent receives all labels and evaluates this one.
    Nodes,
    /// Accepted and shown, but without effect.
    None,
    /// Without effect although it has a security meaning: only Magnum's own
    /// default is accepted, because with another value a user would rely on
    /// something that does not happen. Empty: Magnum's default is unset.
    OnlyDefault(&'static str),
}

use Effect::{Nodes, None as Nothing, OnlyDefault, Server};
use ValueKind::{Address, Domain, Flag, Flags, Number, Plugins, Range, Ranges, Text, Word};

const GB: ValueKind = Number(0, 1_000_000);

/// Every label that is known, by name.
pub(crate) const CATALOGUE: &[(&str, ValueKind, Effect)] = &[
    ("admission_control_list", Plugins, Nodes),
    (
        "auto_healing_controller",
        Word(&["draino", "magnum-auto-healer"]),
        Server,
    ),
    ("auto_healing_enabled", Flag, Server),
    ("auto_scaling_enabled", Flag, Nodes),
    ("autoscaler_tag", Text, Nothing),
    ("availability_zone", Text, Server),
    ("boot_volume_size", GB, Nothing),
    ("boot_volume_type", Text, Nothing),
    ("calico_ipv4pool", Range, Server),
    (
        "calico_ipv4pool_ipip",
        Word(&["Always", "CrossSubnet", "Never", "Off"]),
        Nothing,
    ),
    ("calico_kube_controllers_tag", Text, Nothing),
    ("calico_tag", Text, Nothing),
    ("cert_manager_api", Flag, OnlyDefault("false")),
    ("cgroup_driver", Word(&["cgroupfs", "systemd"]), Nothing),
    ("cinder_csi_enabled", Flag, Nothing),
    ("cinder_csi_plugin_tag", Text, Nothing),
    ("cloud_provider_enabled", Flag, Nothing),
    ("cloud_provider_tag", Text, Nothing),
    ("cluster_basic_auth_secret", Text, OnlyDefault("")),
    ("cluster_root_domain_name", Text, Nothing),
    ("container_infra_prefix", Text, Nothing),
    (
        "container_runtime",
        Word(&["host-docker", "containerd"]),
        Nothing,
    ),
    ("containerd_tarball_sha256", Text, Nothing),
    ("containerd_tarball_url", Text, Nothing),
    ("containerd_version", Text, Nothing),
    ("coredns_tag", Text, Nothing),
    ("csi_attacher_tag", Text, Nothing),
    ("csi_liveness_probe_tag", Text, Nothing),
    ("csi_node_driver_registrar_tag", Text, Nothing),
    ("csi_provisioner_tag", Text, Nothing),
    ("csi_resizer_tag", Text, Nothing),
    ("csi_snapshotter_tag", Text, Nothing),
    ("dns_cluster_domain", Domain, Server),
    ("dns_service_ip", Address, Server),
    ("docker_volume_type", Text, Nothing),
    ("draino_tag", Text, Nothing),
    ("etcd_tag", Text, Nothing),
    ("etcd_volume_size", GB, Nothing),
    ("etcd_volume_type", Text, Nothing),
    ("fixed_subnet_cidr", Range, Server),
    (
        "flannel_backend",
        Word(&["udp", "vxlan", "host-gw"]),
        Nothing,
    ),
    ("flannel_cni_tag", Text, Nothing),
    ("flannel_network_cidr", Range, Server),
    ("flannel_network_subnetlen", Number(16, 28), Server),
    ("flannel_tag", Text, Nothing),
    ("grafana_admin_passwd", Text, Nothing),
    ("grafana_tag", Text, Nothing),
    ("heapster_enabled", Flag, Nothing),
    ("heat_container_agent_tag", Text, Nothing),
    ("helm_client_sha256", Text, Nothing),
    ("helm_client_tag", Text, Nothing),
    ("helm_client_url", Text, Nothing),
    ("hyperkube_prefix", Text, Nothing),
    ("influx_grafana_dashboard_enabled", Flag, Nothing),
    (
        "ingress_controller",
        Word(&["traefik", "nginx", "octavia"]),
        Nodes,
    ),
    ("ingress_controller_role", Text, Nothing),
    ("isolation", Word(LEVELS), Server),
    ("k8s_keystone_auth_tag", Text, Nothing),
    ("keystone_auth_enabled", Flag, OnlyDefault("true")),
    ("kube_allow_priv", Flag, OnlyDefault("true")),
    ("kube_dashboard_enabled", Flag, Nodes),
    ("kube_dashboard_version", Text, Nothing),
    ("kube_image_digest", Text, OnlyDefault("")),
    ("kube_tag", Text, Server),
    ("kube_version", Text, Server),
    ("kubeapi_options", Flags, Nodes),
    ("kubecontroller_options", Flags, Nodes),
    ("kubelet_options", Flags, Nodes),
    ("kubeproxy_options", Flags, Nodes),
    ("kubescheduler_options", Flags, Nodes),
    ("magnum_auto_healer_tag", Text, Nothing),
    ("master_kube_tag", Text, Nothing),
    ("master_lb_allowed_cidrs", Ranges, OnlyDefault("")),
    ("master_lb_floating_ip_enabled", Flag, Nothing),
    ("max_node_count", Number(0, 1000), Server),
    ("metrics_scraper_tag", Text, Nothing),
    ("metrics_server_chart_tag", Text, Nothing),
    ("metrics_server_enabled", Flag, Nodes),
    ("min_node_count", Number(0, 1000), Server),
    ("minion_kube_tag", Text, Nothing),
    ("monitoring_enabled", Flag, Nodes),
    ("monitoring_ingress_enabled", Flag, Nothing),
    ("monitoring_interval_seconds", Number(1, 86_400), Nodes),
    ("monitoring_retention_days", Number(1, 3650), Nodes),
    ("monitoring_retention_size", GB, Nodes),
    ("monitoring_storage_class_name", Text, Nothing),
    ("nginx_ingress_controller_chart_tag", Text, Nothing),
    ("nginx_ingress_controller_tag", Text, Nothing),
    ("node_drain_timeout", Number(1, 3600), Server),
    ("node_problem_detector_tag", Text, Nothing),
    (
        "nodes_affinity_policy",
        Word(&[
            "affinity",
            "anti-affinity",
            "soft-affinity",
            "soft-anti-affinity",
        ]),
        Nothing,
    ),
    ("npd_enabled", Flag, Nothing),
    ("octavia_ingress_controller_tag", Text, Nothing),
    ("octavia_lb_algorithm", Text, Nothing),
    ("octavia_lb_healthcheck", Flag, Nothing),
    ("octavia_provider", Text, Nothing),
    ("ostree_commit", Text, Nothing),
    ("ostree_remote", Text, Nothing),
    ("pods_network_cidr", Range, Server),
    ("post_install_manifest_url", Text, Nothing),
    ("prometheus_adapter_chart_tag", Text, Nothing),
    ("prometheus_adapter_configmap", Text, Nothing),
    ("prometheus_adapter_enabled", Flag, Nothing),
    ("prometheus_monitoring", Flag, Nothing),
    ("prometheus_operator_chart_tag", Text, Nothing),
    ("prometheus_tag", Text, Nothing),
    (
        "selinux_mode",
        Word(&["enforcing", "permissive", "disabled"]),
        OnlyDefault("enforcing"),
    ),
    ("service_cluster_ip_range", Range, Server),
    ("system_pods_initial_delay", Number(0, 86_400), Nothing),
    ("system_pods_timeout", Number(0, 86_400), Nothing),
    ("tiller_enabled", Flag, Nothing),
    ("tiller_namespace", Text, Nothing),
    ("tiller_tag", Text, Nothing),
    ("traefik_ingress_controller_tag", Text, Nothing),
    ("update_max_batch_size", Number(1, 1000), Nothing),
    ("use_podman", Flag, Nothing),
];

/// Rejects known labels with invalid values; unknown labels are kept.
///
/// # Errors
/// 400 naming the label, its value and the valid values.
pub(crate) fn check(
    labels: &BTreeMap<String, String>,
    driver: Option<&str>,
    ranges: &RangePools,
) -> Result<()> {
    for (key, value) in labels {
        let Some((_, value_kind, effect)) = CATALOGUE.iter().find(|(name, ..)| name == key) else {
            tracing::info!(label = key, "an unknown label is kept and has no effect");
            continue;
        };
        let trimmed = value.trim();
        if trimmed.is_empty() {
            continue;
        }
        let own = match value_kind {
            Flags => options::validation_error(key, trimmed),
            Plugins => options::plugin_list_error(trimmed),
            _ => None,
        };
        if let Some(why) = own {
            return Err(bad_request("labels", why));
        }
        let supported = validation_error(*value_kind, trimmed, ranges);
        let supported = supported.or_else(|| only_default(*value_kind, *effect, trimmed));
        if let Some(supported) = supported {
            return Err(not_supported(key, value, &supported));
        }
    }
    let networks = Networks::of(labels, driver)?;
    match labels.get("fixed_subnet_cidr").map(|v| v.trim().parse()) {
        Some(Ok(nodes)) if !ranges.allow_nodes(&nodes) => Err(not_supported(
            "fixed_subnet_cidr",
            &nodes.to_string(),
            &ranges.describe_nodes(),
        )),
        Some(Ok(nodes)) => networks.check_disjoint("fixed_subnet_cidr", nodes),
        _ => Ok(()),
    }
}

fn not_supported(key: &str, value: &str, supported: &str) -> kernel::Error {
    bad_request(
        "labels",
        format!(
            "property \"labels/{key}\" with value \"{value}\" is not supported, \
             supported values are: {supported}"
        ),
    )
}

const TRUE: &[&str] = &["true", "1", "yes", "on", "t", "y"];
const FALSE: &[&str] = &["false", "0", "no", "off", "f", "n"];

/// Describes the only valid value if another one would be without effect.
fn only_default(value_kind: ValueKind, effect: Effect, value: &str) -> Option<String> {
    let OnlyDefault(default) = effect else {
        return None;
    };
    let value = value.to_ascii_lowercase();
    let is_default = match value_kind {
        Flag => (default == "true") == TRUE.contains(&value.as_str()),
        _ => value == default,
    };
    let supported = if default.is_empty() {
        "unspecified".to_owned()
    } else {
        format!("{default}, unspecified")
    };
    (!is_default).then(|| format!("{supported}; the label has no effect yet"))
}

/// Describes the valid values if the value is invalid.
fn validation_error(value_kind: ValueKind, value: &str, ranges: &RangePools) -> Option<String> {
    let range = |text: &str| {
        text.trim()
            .parse::<ipnet::Ipv4Net>()
            .is_ok_and(|net| (8..=28).contains(&net.prefix_len()) && ranges.contain(&net))
    };
    let (good, supported) = match value_kind {
        // Flags and plug-ins have separate error texts.
        Text | Flags | Plugins => (true, String::new()),
        Flag => (
            [TRUE, FALSE]
                .concat()
                .contains(&value.to_ascii_lowercase().as_str()),
            "true, false, unspecified".to_owned(),
        ),
        Number(least, most) => (
            value
                .parse::<u32>()
                .is_ok_and(|n| (least..=most).contains(&n)),
            format!("a whole number from {least} to {most}"),
        ),
        Range => (range(value), ranges.describe()),
        Ranges => (
            value
                .split(',')
                .all(|part| part.trim().parse::<ipnet::IpNet>().is_ok()),
            "ranges separated by commas, such as 10.0.0.0/8,192.168.1.0/24".to_owned(),
        ),
        Address => (
            value.parse::<Ipv4Addr>().is_ok(),
            "an IPv4 address such as 10.254.0.10".to_owned(),
        ),
        Domain => (
            value.len() <= 200
                && value.split('.').all(|part| {
                    !part.is_empty()
                        && part.len() <= 63
                        && !part.starts_with('-')
                        && !part.ends_with('-')
                        && part
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                }),
            "a domain such as cluster.local".to_owned(),
        ),
        Word(words) => (
            words.iter().any(|w| w.eq_ignore_ascii_case(value)),
            format!("{}, unspecified", words.join(", ")),
        ),
    };
    (!good).then_some(supported)
}
