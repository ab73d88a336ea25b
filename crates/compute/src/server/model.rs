//! Rows of servers and specifications of their containers: pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use db::Json;
use infra::{ContainerSpec, Endpoint, FileSpec, Isolation, NodeAccess, VolumeSpec};
use kernel::{OwnerKey, ProjectId, Timestamp, UserId};
use network::api::Port;
use network::{NetworkId, PortId};
use serde::{Deserialize, Serialize};

use crate::api::{Fault, NodeFlavour, Server, ServerStatus};
use crate::config::ComputeConfig;
use crate::host::ResourceRequest;
use crate::{FlavorId, ImageId, ServerId};

use super::flavour;

/// Kind of the reconciler.
pub(crate) const KIND: &str = "server";
/// Path of the seed in a node.
const SEED: &str = "/var/lib/jeroboam/seed.json";
/// One attachment. `port_id` is generated with the row, even if the port is
/// created with the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nic {
    pub port_id: PortId,
    /// If set, the port is created and removed with the server.
    pub network_id: Option<NetworkId>,
}

db::table! {
    /// A row of a server.
    #[derive(Debug, Clone)]
    pub(crate) struct ServerRow in "server" {
        pub id: ServerId,
        pub project_id: ProjectId,
        pub user_id: UserId,
        pub name: String,
        pub status: ServerStatus,
        /// Current activity of a build or removal, or what it waits for.
        pub progress: Option<String>,
        pub fault_code: Option<i64>,
        pub fault: Option<String>,
        pub image_id: ImageId,
        pub reference: String,
        pub is_node: bool,
        pub flavour: NodeFlavour,
        pub flavor_id: FlavorId,
        pub vcpus: i64,
        /// MiB.
        pub ram: i64,
        pub host: Option<String>,
        pub networks: Json<Vec<Nic>>,
        pub addresses: Json<Vec<Ipv4Addr>>,
        /// Sealed; deleted when the server is ACTIVE.
        pub user_data: Option<String>,
        pub metadata: Json<BTreeMap<String, String>>,
        /// Since when the host does not answer or refuses requests.
        pub trouble_since: Option<Timestamp>,
        pub launched_at: Option<Timestamp>,
        pub owner_kind: Option<String>,
        pub owner_id: Option<String>,
        pub created_at: Timestamp,
        /// Number of the build, starting at 1.
        pub build: i64,
        /// The generation of the caller in the last rebuild.
        pub rebuilt_generation: Option<i64>,
        pub isolation: Isolation,
    }
}

db::stored_enum! {
    ServerStatus:
    Build = "BUILD",
    Active = "ACTIVE",
    Shutoff = "SHUTOFF",
    Paused = "PAUSED",
    Error = "ERROR",
    Deleting = "DELETING",
}

/// The name of a server's container.
#[must_use]
pub fn container_name(server_id: &ServerId) -> String {
    format!("{}srv-{server_id}", infra::PREFIX)
}

/// Each build has new volumes, so that a delayed removal for an earlier build
/// never affects a later one.
fn volume(server_id: &ServerId, build: i64, what: &str) -> String {
    let name = format!("{}srv-{server_id}-{what}", infra::PREFIX);
    match build {
        1 => name,
        _ => format!("{name}-{build}"),
    }
}

impl ServerRow {
    pub(crate) fn owner(&self) -> Option<OwnerKey> {
        let both = self.owner_kind.as_ref().zip(self.owner_id.as_ref());
        both.map(|(kind, id)| OwnerKey::new(kind, id))
    }

    pub(crate) fn resource_request(&self) -> ResourceRequest {
        ResourceRequest {
            vcpus: self.vcpus,
            ram: self.ram,
            isolation: self.isolation,
        }
    }

    /// Whether a container belongs to this build. Containers of an earlier
    /// release have no build label and count as the first build.
    pub(crate) fn is_of_build(&self, labels: &BTreeMap<String, String>) -> bool {
        let build = labels.get(infra::LABEL_BUILD).and_then(|b| b.parse().ok());
        labels.get(infra::LABEL).is_some_and(|id| self.id == *id)
            && build.unwrap_or(1) == self.build
    }

    pub(crate) fn shown(self) -> Server {
        Server {
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            status: self.status,
            fault: self.fault.map(|message| Fault { code: 500, message }),
            progress: self.progress,
            image_id: self.image_id,
            flavor_id: self.flavor_id,
            host: self.host,
            addresses: self.addresses.0,
            metadata: self.metadata.0,
        }
    }

    pub(crate) fn container(&self) -> String {
        container_name(&self.id)
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.mounts().into_iter().map(|v| v.name).collect()
    }

    /// Named volumes, because anonymous ones could not be attributed after a
    /// crash.
    fn mounts(&self) -> Vec<VolumeSpec> {
        let places = if self.is_node {
            flavour::volume_mounts(self.flavour)
        } else {
            &[]
        };
        let mount = |(what, target): &(&str, &str)| VolumeSpec {
            name: volume(&self.id, self.build, what),
            target: (*target).into(),
        };
        places.iter().map(mount).collect()
    }
}

/// The container of a server; `seed` is its decrypted user data.
pub(crate) fn container(
    s: &ServerRow,
    ports: &[Port],
    seed: Option<String>,
    config: &ComputeConfig,
) -> ContainerSpec {
    let build = s.build.to_string();
    let labels = [
        (infra::LABEL, s.id.as_str()),
        (infra::LABEL_BUILD, build.as_str()),
        (infra::LABEL_INSTALLATION, config.installation.as_str()),
        ("io.jeroboam.name", s.name.as_str()),
        ("io.jeroboam.project", s.project_id.as_str()),
    ];
    let mut spec = ContainerSpec {
        name: s.container(),
        hostname: hostname(&s.name),
        image: s.reference.clone(),
        labels: labels.map(|(k, v)| (k.into(), v.into())).into(),
        cpu_shares: Some(s.vcpus * 1024),
        memory: Some(s.ram << 20),
        pids: Some(pids(s.ram)),
        access: if s.is_node {
            NodeAccess::Node
        } else {
            NodeAccess::Plain
        },
        isolation: s.isolation,
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
                ipv4: Some(p.ip),
                mac: Some(p.mac.clone()),
                aliases: vec![hostname(&s.name)],
            })
            .collect(),
        volumes: s.mounts(),
        stop_timeout: if s.is_node { 30 } else { 10 },
        restart: true,
        ..ContainerSpec::default()
    };
    if s.is_node {
        flavour::apply_flavour(&mut spec, s.flavour, &config.agent);
    }
    spec
}

/// The limit of processes and threads for this memory (MiB): the kernel's process ids
/// are shared by the whole host. Two for each MiB are more than an ordinary workload of
/// this size has.
fn pids(ram: i64) -> i64 {
    ram.saturating_mul(2).max(2048)
}

/// Converts a server name to a host name: letters, digits and dashes, at most
/// 63.
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
