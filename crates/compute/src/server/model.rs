//! What a server is, and what its container looks like: pure.

use std::collections::BTreeMap;

use infra::{ContainerSpec, Endpoint, FileSpec, NodeAccess, VolumeSpec};
use kernel::OwnerKey;
use network::face::Port;
use serde::{Deserialize, Serialize};

use crate::face::{Fault, NodeFlavour, Server, ServerStatus};
use crate::host::Ask;
use crate::service::ComputeConfig;

use super::flavour;

/// Where the seed of a node is put.
const SEED: &str = "/var/lib/jeroboam/seed.json";
/// One attachment: `port_id` was drawn with the row, also where the port is
/// ours to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nic {
    pub port_id: String,
    /// Makes and removes the port with the server.
    pub network_id: Option<String>,
}

/// A server's row.
#[derive(Debug, Clone)]
pub(crate) struct Srv {
    pub id: String,
    pub project_id: String,
    pub name: String,
    pub status: ServerStatus,
    pub progress: Option<String>,
    pub fault: Option<Fault>,
    pub image_id: String,
    pub reference: String,
    pub node: bool,
    pub flavour: NodeFlavour,
    pub flavor_id: String,
    pub ask: Ask,
    pub host: Option<String>,
    pub nics: Vec<Nic>,
    pub addresses: Vec<String>,
    /// Sealed; gone once the server is ACTIVE.
    pub user_data: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// Since when the host has not answered, microseconds.
    pub trouble_since: Option<i64>,
    pub launched_at: Option<i64>,
    pub owner: Option<OwnerKey>,
}

/// The name of a server's container.
#[must_use]
pub fn container_name(server_id: &str) -> String {
    format!("{}srv-{server_id}", infra::PREFIX)
}

/// The name of the volume of a node's nested engine.
#[must_use]
pub fn volume_name(server_id: &str) -> String {
    volume(server_id, "docker")
}

fn volume(server_id: &str, what: &str) -> String {
    format!("{}srv-{server_id}-{what}", infra::PREFIX)
}

impl Srv {
    pub(crate) fn shown(self) -> Server {
        Server {
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            status: self.status,
            fault: self.fault,
            progress: self.progress,
            image_id: self.image_id,
            flavor_id: self.flavor_id,
            host: self.host,
            addresses: self.addresses,
            metadata: self.metadata,
        }
    }

    pub(crate) fn container(&self) -> String {
        container_name(&self.id)
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.mounts().into_iter().map(|v| v.name).collect()
    }

    /// Named volumes: an anonymous one could not be attributed after a crash.
    fn mounts(&self) -> Vec<VolumeSpec> {
        let places = if self.node {
            flavour::places(self.flavour)
        } else {
            &[]
        };
        let mount = |(what, target): &(&str, &str)| VolumeSpec {
            name: volume(&self.id, what),
            target: (*target).into(),
        };
        places.iter().map(mount).collect()
    }
}

/// The container of a server; `seed` is its user data in the clear.
pub(crate) fn container(
    s: &Srv,
    ports: &[Port],
    seed: Option<String>,
    config: &ComputeConfig,
) -> ContainerSpec {
    let labels = [
        (infra::LABEL, s.id.as_str()),
        (infra::LABEL_INSTALLATION, config.installation.as_str()),
        ("io.jeroboam.name", s.name.as_str()),
        ("io.jeroboam.project", s.project_id.as_str()),
    ];
    let mut spec = ContainerSpec {
        name: s.container(),
        hostname: hostname(&s.name),
        image: s.reference.clone(),
        labels: labels.map(|(k, v)| (k.into(), v.into())).into(),
        cpu_shares: Some(s.ask.vcpus * 1024),
        memory: Some(s.ask.ram << 20),
        access: if s.node {
            NodeAccess::Node
        } else {
            NodeAccess::Plain
        },
        files: seed
            .map(|text| FileSpec {
                path: SEED.into(),
                mode: 0o600,
                content: text.into_bytes(),
            })
            .into_iter()
            .collect(),
        endpoints: ports
            .iter()
            .map(|p| Endpoint {
                network: p.host_network.clone(),
                ipv4: Some(p.ip.clone()),
                mac: Some(p.mac.clone()),
                aliases: vec![hostname(&s.name)],
            })
            .collect(),
        volumes: s.mounts(),
        stop_timeout: if s.node { 30 } else { 10 },
        restart: true,
        ..ContainerSpec::default()
    };
    if s.node {
        flavour::dress(&mut spec, s.flavour, &config.agent);
    }
    spec
}

/// A server's name as a host name: letters, digits and dashes, at most 63.
fn hostname(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    match clean.trim_matches('-') {
        "" => "server".into(),
        trimmed => trimmed.into(),
    }
}

pub(crate) fn status_word(status: ServerStatus) -> &'static str {
    match status {
        ServerStatus::Build => "BUILD",
        ServerStatus::Active => "ACTIVE",
        ServerStatus::Shutoff => "SHUTOFF",
        ServerStatus::Paused => "PAUSED",
        ServerStatus::Error => "ERROR",
        ServerStatus::Deleting => "DELETING",
    }
}

pub(crate) fn status_of(word: &str) -> ServerStatus {
    match word {
        "BUILD" => ServerStatus::Build,
        "ACTIVE" => ServerStatus::Active,
        "SHUTOFF" => ServerStatus::Shutoff,
        "PAUSED" => ServerStatus::Paused,
        "DELETING" => ServerStatus::Deleting,
        _ => ServerStatus::Error,
    }
}
