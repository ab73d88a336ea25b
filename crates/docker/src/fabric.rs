//! The network fabric: one user-defined bridge network per network.

use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::slice;

use async_trait::async_trait;
use bollard::models::{EventMessage, Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder};
use infra::{
    Actor, BridgeSpec, BridgeView, Events, LABEL, NetworkFabric, Observed, PREFIX, Relation,
    foreign, relation, stale, stamped,
};
use kernel::{Error, Kind, Result};

use crate::Engine;
use crate::fault::{message_contains, status};

#[async_trait]
impl NetworkFabric for Engine {
    async fn list(&self) -> Result<Vec<BridgeView>> {
        let ours = |v: &BridgeView| v.labels.contains_key(LABEL) || v.name.starts_with(PREFIX);
        Ok(self
            .networks(None)
            .await?
            .into_iter()
            .filter(ours)
            .collect())
    }

    async fn used_cidrs(&self) -> Result<Vec<Ipv4Net>> {
        let mut used: Vec<Ipv4Net> = self
            .networks(None)
            .await?
            .into_iter()
            .filter_map(|v| v.cidr)
            .collect();
        if self.url.starts_with("unix://") {
            // Routes of this machine: a bridge with the same range would make
            // them unreachable.
            let table = tokio::fs::read_to_string("/proc/net/route").await;
            used.extend(table.as_deref().map(routes).unwrap_or_default());
        }
        used.sort();
        used.dedup();
        Ok(used)
    }

    async fn named(&self, name: &str) -> Result<Vec<BridgeView>> {
        // The filter of the engine matches substrings of names.
        let mut found = self.networks(Some(name)).await?;
        found.retain(|v| v.name == name);
        Ok(found)
    }

    async fn ensure(&self, actor: Actor, spec: &BridgeSpec) -> Result<BridgeView> {
        let spec = BridgeSpec {
            labels: stamped(&spec.labels, actor),
            ..spec.clone()
        };
        let found = match self.usable(actor, &spec).await? {
            Some(found) => found,
            None => self.make(actor, &spec).await?,
        };
        self.firewall.restore(slice::from_ref(&found)).await?;
        Ok(found)
    }

    async fn remove(&self, _actor: Actor, id: &str) -> Result<()> {
        self.remove_bridge(id).await
    }

    async fn restore(&self, networks: &[BridgeView]) -> Result<()> {
        self.firewall.restore(networks).await?;
        self.firewall.remove_orphans().await
    }

    async fn orphaned_rules(&self) -> Result<Vec<BridgeView>> {
        self.firewall.orphans().await
    }

    async fn events(&self) -> Result<Events> {
        let filters = HashMap::from([("type", vec!["network"])]);
        self.follow(&filters, observed).await
    }
}

/// The engine returns no labels of networks.
fn observed(e: EventMessage) -> Option<Observed> {
    let mut attributes = e.actor?.attributes?;
    let name = attributes.remove("name")?;
    name.starts_with(PREFIX).then_some(Observed {
        id: String::new(),
        name,
        action: e.action?,
    })
}

impl Engine {
    /// Error text for a network that cannot be removed, with the containers
    /// that use it.
    async fn attached(&self, id: &str) -> Error {
        let found = match self.docker().await {
            Ok(docker) => docker.inspect_network(id, None).await.ok(),
            Err(_) => None,
        };
        let (name, containers) = found.map(|n| (n.name, n.containers)).unwrap_or_default();
        let name = name.unwrap_or_else(|| id.to_owned());
        let mut guests: Vec<String> = containers
            .into_iter()
            .flatten()
            .map(|(id, c)| c.name.unwrap_or(id))
            .collect();
        guests.sort();
        Error::conflict(format!(
            "network {name} still has containers attached: {}; `docker network disconnect -f {name} CONTAINER` frees it",
            guests.join(", ")
        ))
    }

    async fn networks(&self, name: Option<&str>) -> Result<Vec<BridgeView>> {
        let options: Option<ListNetworksOptions> = name.map(|n| {
            ListNetworksOptionsBuilder::new()
                .filters(&HashMap::from([("name", vec![n])]))
                .build()
        });
        let all = self
            .docker()
            .await?
            .list_networks(options)
            .await
            .map_err(|e| self.fault("list the networks", &e))?;
        Ok(all.into_iter().map(view).collect())
    }

    /// Returns a usable bridge of this name; one of an older build is removed.
    async fn usable(&self, actor: Actor, spec: &BridgeSpec) -> Result<Option<BridgeView>> {
        let mut usable = None;
        for found in self.named(&spec.name).await? {
            let what = format!("network {}", spec.name);
            match relation(&found.labels, &spec.labels, actor) {
                Relation::Newer => return Err(stale(&what)),
                Relation::Foreign => {
                    return Err(foreign(&what, &format!("docker network rm {}", found.id)));
                }
                Relation::Same => usable = Some(found),
                Relation::Older => match self.remove_bridge(&found.id).await {
                    // Attached containers are being removed as well.
                    Err(e) if e.kind == Kind::Conflict => {
                        return Err(Error::unavailable(e.message));
                    }
                    done => done?,
                },
            }
        }
        Ok(usable)
    }

    async fn remove_bridge(&self, id: &str) -> Result<()> {
        match self.docker().await?.remove_network(id).await {
            // The rules are removed afterwards, because containers may still be
            // attached. If this does not happen, they are removed as orphans.
            Ok(()) => self.firewall.remove(&[device(id)].into()).await,
            Err(e) if status(&e) == Some(404) => self.firewall.remove(&[device(id)].into()).await,
            Err(e) if message_contains(&e, "active endpoints") => Err(self.attached(id).await),
            Err(e) => Err(self.fault(&format!("remove network {id}"), &e)),
        }
    }

    async fn make(&self, actor: Actor, spec: &BridgeSpec) -> Result<BridgeView> {
        let options = spec
            .mtu
            .map(|m| HashMap::from([("com.docker.network.driver.mtu".to_owned(), m.to_string())]));
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".into()),
            internal: Some(spec.internal),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(spec.cidr.to_string()),
                    gateway: Some(spec.gateway.to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            options,
            labels: Some(
                spec.labels
                    .iter()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect(),
            ),
            ..NetworkCreateRequest::default()
        };
        match self.docker().await?.create_network(request).await {
            Ok(made) => Ok(BridgeView {
                name: spec.name.clone(),
                device: Some(device(&made.id)),
                id: made.id,
                labels: spec.labels.clone(),
                cidr: Some(spec.cidr),
                gateway: Some(spec.gateway),
            }),
            Err(e) => {
                // The engine allows duplicate names but not duplicate subnets,
                // so the second of two concurrent creators finds the bridge of
                // the first.
                if let Some(found) = self.usable(actor, spec).await? {
                    return Ok(found);
                }
                Err(self.fault(&format!("make network {} ({})", spec.name, spec.cidr), &e))
            }
        }
    }
}

fn view(n: Network) -> BridgeView {
    let id = n.id.unwrap_or_default();
    let configs = n.ipam.and_then(|i| i.config).unwrap_or_default();
    // A network may have an IPv6 range as well.
    let ipv4 = configs.into_iter().find_map(|config| {
        let cidr: Ipv4Net = config.subnet?.parse().ok()?;
        Some((cidr, config.gateway.and_then(|g| g.parse().ok())))
    });
    BridgeView {
        name: n.name.unwrap_or_default(),
        device: (!id.is_empty()).then(|| device(&id)),
        labels: n.labels.unwrap_or_default().into_iter().collect(),
        cidr: ipv4.map(|(cidr, _)| cidr),
        gateway: ipv4.and_then(|(_, gateway)| gateway),
        id,
    }
}

/// The name of the bridge device of a network in the engine.
fn device(id: &str) -> String {
    format!("br-{}", id.get(..12).unwrap_or(id))
}

/// Destinations of `/proc/net/route` (hexadecimal, in the machine's byte
/// order), without the default route.
fn routes(table: &str) -> Vec<Ipv4Net> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let address = u32::from_str_radix(fields.next()?, 16).ok()?;
            let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
            let (address, mask) = (address.to_ne_bytes().into(), mask.to_ne_bytes().into());
            Ipv4Net::with_netmask(address, mask)
                .ok()
                .filter(|net| net.prefix_len() > 0)
        })
        .collect()
}
