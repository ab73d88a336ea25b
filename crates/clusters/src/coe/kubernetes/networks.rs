//! The ranges of a Kubernetes cluster: services, pods, and the pod range of
//! each node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kernel::Result;
use network::overlap;
use serde::{Deserialize, Serialize};

use crate::errors::bad_request;

/// Default port of the API server.
pub(crate) const API_PORT: u16 = 6443;

const SERVICES: &str = "10.254.0.0/16";
const PODS: &str = "10.100.0.0/16";
const NODE_PREFIX: u8 = 24;
const DOMAIN: &str = "cluster.local";
/// The tenth address of the service range is the default address of the cluster
/// DNS.
const DNS: u32 = 10;

/// Fixed when the cluster is accepted, because nodes depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Networks {
    pub(crate) services: Ipv4Net,
    pub(crate) pods: Ipv4Net,
    /// Prefix length of the pod range of each node.
    pub(crate) node_prefix: u8,
    pub(crate) dns: Ipv4Addr,
    pub(crate) domain: String,
    /// Upstream servers of the cluster DNS; empty: those of the node.
    pub(crate) upstream_dns: Vec<String>,
    pub(crate) api_port: u16,
}

/// The labels that may set the pod range; the label of the network driver comes
/// first.
fn pod_labels(driver: Option<&str>) -> [&'static str; 3] {
    match driver {
        Some("calico") => [
            "calico_ipv4pool",
            "pods_network_cidr",
            "flannel_network_cidr",
        ],
        _ => [
            "flannel_network_cidr",
            "pods_network_cidr",
            "calico_ipv4pool",
        ],
    }
}

fn refused(label: &str, value: &str, supported: &str) -> kernel::Error {
    bad_request(
        "labels",
        format!(
            "property \"labels/{label}\" with value \"{value}\" is not supported, \
             supported values are: {supported}"
        ),
    )
}

impl Networks {
    /// Reads the labels; `driver` is the template's network driver.
    ///
    /// # Errors
    /// 400 naming the label: invalid range, range too small, overlapping
    /// ranges.
    pub(crate) fn of(labels: &BTreeMap<String, String>, driver: Option<&str>) -> Result<Self> {
        let get = |label: &str| {
            labels
                .get(label)
                .map(|v| v.trim())
                .filter(|v| !v.is_empty())
        };
        let range = |label: &str, default: &str, longest: u8| -> Result<Ipv4Net> {
            let value = get(label).unwrap_or(default);
            let what =
                format!("an IPv4 range with a prefix length of 8 to {longest}, such as {default}");
            match value.parse::<Ipv4Net>() {
                Ok(net) if (8..=longest).contains(&net.prefix_len()) => Ok(net.trunc()),
                _ => Err(refused(label, value, &what)),
            }
        };
        let services = range("service_cluster_ip_range", SERVICES, 28)?;
        let label = pod_labels(driver)
            .into_iter()
            .find(|l| get(l).is_some())
            .unwrap_or("flannel_network_cidr");
        let pods = range(label, PODS, 27)?;
        let node_prefix = match get("flannel_network_subnetlen") {
            None => NODE_PREFIX.max(pods.prefix_len()),
            Some(value) => match value.parse::<u8>() {
                Ok(n) if n >= pods.prefix_len() && (16..=28).contains(&n) => n,
                _ => {
                    let what = format!("{} to 28", pods.prefix_len().max(16));
                    return Err(refused("flannel_network_subnetlen", value, &what));
                }
            },
        };
        if overlap(&services, &pods) {
            let what = format!("a range that does not overlap with the services' {services}");
            return Err(refused(label, &pods.to_string(), &what));
        }
        let dns = match get("dns_service_ip") {
            None => nth(services, DNS),
            Some(value) => match value.parse::<Ipv4Addr>() {
                Ok(ip) if services.contains(&ip) && ip > nth(services, 1) => ip,
                _ => {
                    let what = format!("an address of {services} other than its first one");
                    return Err(refused("dns_service_ip", value, &what));
                }
            },
        };
        Ok(Self {
            services,
            pods,
            node_prefix,
            dns,
            domain: get("dns_cluster_domain").unwrap_or(DOMAIN).to_owned(),
            upstream_dns: Vec::new(),
            api_port: API_PORT,
        })
    }

    /// The address of the service `kubernetes`.
    pub(crate) fn service_ip(&self) -> Ipv4Addr {
        nth(self.services, 1)
    }

    /// The default address of the cluster DNS.
    pub(crate) fn default_dns(&self) -> Ipv4Addr {
        nth(self.services, DNS)
    }

    /// Rejects a node range that overlaps the service or pod range.
    ///
    /// # Errors
    /// 400 naming the field.
    pub(crate) fn check_disjoint(&self, field: &str, nodes: Ipv4Net) -> Result<()> {
        for (what, net) in [("services", self.services), ("pods", self.pods)] {
            if overlap(&net, &nodes) {
                return Err(bad_request(
                    field,
                    format!("{field}: {nodes} overlaps with the range of the {what}, {net}."),
                ));
            }
        }
        Ok(())
    }

    /// Rejects ranges that a label chose within the pool from which the nodes get
    /// their range.
    ///
    /// # Errors
    /// 400 naming the label.
    pub(crate) fn check_outside_pool(
        &self,
        labels: &BTreeMap<String, String>,
        driver: Option<&str>,
        pool: Ipv4Net,
    ) -> Result<()> {
        let is_set = |label: &&str| labels.get(*label).is_some_and(|v| !v.trim().is_empty());
        let services = Some("service_cluster_ip_range").filter(is_set);
        let pods = pod_labels(driver).into_iter().find(is_set);
        for (label, range) in [(services, self.services), (pods, self.pods)] {
            if let Some(label) = label.filter(|_| overlap(&range, &pool)) {
                let what = format!(
                    "ranges outside of {pool}, from which the nodes get their addresses \
                     unless the label fixed_subnet_cidr gives them others"
                );
                return Err(refused(label, &range.to_string(), &what));
            }
        }
        Ok(())
    }

    /// Maximum number of nodes.
    pub(crate) fn capacity(&self) -> u32 {
        1_u32 << (self.node_prefix - self.pods.prefix_len()).min(31)
    }

    /// Returns the first free node ranges.
    ///
    /// # Errors
    /// 400: the range is exhausted.
    pub(crate) fn free<'a>(
        &self,
        taken: impl Iterator<Item = &'a str>,
        count: usize,
    ) -> Result<Vec<String>> {
        let taken: BTreeSet<&str> = taken.collect();
        let used = taken.len();
        let all = self
            .pods
            .subnets(self.node_prefix)
            .map_err(|e| kernel::Error::internal(format!("a pod range without parts: {e}")))?;
        let free: Vec<String> = all
            .map(|net| net.to_string())
            .filter(|net| !taken.contains(net.as_str()))
            .take(count)
            .collect();
        if free.len() < count {
            return Err(bad_request(
                "node_count",
                format!(
                    "The pod range {} is large enough for {} nodes with a /{} each, not for {}; \
                     choose a larger range by the label of the network driver.",
                    self.pods,
                    self.capacity(),
                    self.node_prefix,
                    used + count
                ),
            ));
        }
        Ok(free)
    }
}

fn nth(net: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()).saturating_add(n))
}
